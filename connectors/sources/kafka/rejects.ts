// What becomes of a message that is not wanted, or cannot be decoded: it ends the run, or is counted, and written to a
// file if there is one.

import { isUtf8 } from 'node:buffer'
import { DeadLetters } from '../../../lib/dead-letter.ts'
import { BizonError } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import type { Message } from '../../kafka/messages.ts'
import { excerpt } from '../file/invalid.ts'
import { idOf } from './message.ts'
import type { Undecodable } from './undecodable.ts'

export interface RejectOptions {
  readonly skip_message_invalid_keys: boolean
  readonly skip_message_on_decode_error: boolean
  readonly dead_letter_path?: string | undefined
}

/** Why a message gave no record, as the log says it. */
type Reason = 'an empty value' | 'a key that cannot be decoded' | 'a value that cannot be decoded' | 'no row to unwrap'

interface From {
  readonly topic: string
  readonly partition: number
  readonly message: Message
}

export class Rejects {
  readonly #options: RejectOptions
  readonly #log: Log
  readonly #deadLetters: DeadLetters | undefined
  readonly #counts = new Map<Reason, number>()

  constructor(options: RejectOptions, log: Log) {
    const { dead_letter_path: path } = options
    this.#options = options
    this.#log = log
    this.#deadLetters =
      path === undefined ? undefined : new DeadLetters({ path, code: 'source', key: 'source.dead_letter_path' })
  }

  /** How many messages gave no record. */
  get count(): number {
    let sum = 0
    for (const count of this.#counts.values()) sum += count
    return sum
  }

  /** A message that is not asked for: without a value, or of a change that is of no row. */
  unwanted(reason: 'an empty value' | 'no row to unwrap'): void {
    this.#add(reason)
  }

  /** Throws, unless such messages are to be passed over. */
  async report(part: 'key' | 'value', problem: Undecodable, from: From): Promise<void> {
    const { skip_message_invalid_keys: keys, skip_message_on_decode_error: values } = this.#options
    const error = faultOf(part, problem, from)
    if (!(part === 'key' ? keys : values)) throw error
    this.#add(part === 'key' ? 'a key that cannot be decoded' : 'a value that cannot be decoded', error.message)
    if (!this.#deadLetters) return
    this.#deadLetters.add(letterOf(from, error.message))
    if (this.#deadLetters.due) await this.settle()
  }

  /** Writes the dead letters: before the page that passes over such messages goes out. */
  async settle(): Promise<void> {
    await this.#deadLetters?.settle()
  }

  /** Says how many there were. */
  finish(): void {
    const { dead_letter_path: path } = this.#options
    for (const [reason, count] of this.#counts) {
      const kept = path === undefined || !reason.endsWith('decoded') ? '' : `; they are in ${path}`
      this.#log.warn(`messages left out because of ${reason}: ${count}${kept}`)
    }
  }

  /** The first of each kind is told at once, and then ever more rarely: a stream may never finish. */
  #add(reason: Reason, message?: string): void {
    const count = (this.#counts.get(reason) ?? 0) + 1
    this.#counts.set(reason, count)
    if (message !== undefined && /^10*$/.test(String(count))) {
      this.#log.warn(`left out (${count} so far): ${message}`)
    }
  }
}

function faultOf(part: 'key' | 'value', problem: Undecodable, { topic, partition, message }: From): BizonError {
  const bytes = message[part]
  const start = bytes && isUtf8(bytes) ? `; it starts ${excerpt(bytes)}` : ''
  const flag = part === 'key' ? 'skip_message_invalid_keys' : 'skip_message_on_decode_error'
  return new BizonError(
    'invalid_record',
    `${idOf(topic, partition, message.offset)}: its ${part} ${problem.message}${start}`,
    {
      hint: problem.hint ?? `Set source.${flag} to load the others without it, and dead_letter_path to keep it.`,
      cause: problem,
    },
  )
}

/** All of the message: what is no text is in base64, under a name that says so. */
function letterOf({ topic, partition, message }: From, error: string): string {
  const { offset, timestamp, key, value, headers } = message
  const place = { topic, partition, offset: String(offset), timestamp, error }
  return JSON.stringify({ ...place, ...bytesAs('key', key), headers, ...bytesAs('value', value) }, shown)
}

function bytesAs(name: string, bytes: Buffer | null): Record<string, string | null> {
  if (bytes === null) return { [name]: null }
  return isUtf8(bytes) ? { [name]: bytes.toString() } : { [`${name}_base64`]: bytes.toString('base64') }
}

/** How headers are shown: JSON.stringify has made an object of a Buffer by then. */
function shown(_: string, value: unknown): unknown {
  const { type, data } = (value ?? {}) as { type?: unknown; data?: unknown }
  if (type !== 'Buffer' || !Array.isArray(data)) return value
  const bytes = Buffer.from(data)
  return isUtf8(bytes) ? bytes.toString() : { base64: bytes.toString('base64') }
}
