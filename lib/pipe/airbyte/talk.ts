// What an Airbyte source says beside records and states: how far its streams are, what went wrong, and its log.

import { BizonError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { AirbyteMessage, Descriptor } from './messages.ts'

type Said = Exclude<AirbyteMessage, { readonly type: 'RECORD' | 'STATE' | 'TEXT' | 'INVALID' }>

/** Names a stream among those of one source: with its namespace, if it has one. */
export const routeOf = ({ name, namespace }: Descriptor): string => (namespace ? `${namespace}_${name}` : name)

/** Listens to one source. */
export class Talk {
  readonly #log: Log
  readonly #statuses = new Map<string, string>()
  readonly #unknown = new Set<string>()
  #failure: BizonError | undefined

  constructor(log: Log) {
    this.#log = log
  }

  /** What is no record, no state and not damaged. */
  hear(message: Said, number: number): void {
    switch (message.type) {
      case 'STATUS':
        this.#statuses.set(routeOf(message.stream), message.status)
        return
      case 'ERROR': {
        const { message: text, internal } = message
        const why = internal === undefined || internal === text ? '' : ` (${internal})`
        this.#log.error(`line ${number} of the pipe: the source failed: ${text}${why}`)
        this.#failure ??= sourceFailed(text)
        return
      }
      case 'LOG':
        this.#log[LEVELS[message.level] ?? 'info'](message.message)
        return
      default:
        this.#passOver(message.name, number)
    }
  }

  /**
   * At the end of the input: whether the source may have ended here. `needed`: streams that must be COMPLETE too if any
   * status came, or `always`.
   */
  checkEnd(needed: Iterable<string>, { always = false } = {}): void {
    if (this.#failure) throw this.#failure
    if (this.#statuses.size === 0 && !always) return
    const streams = new Set([...this.#statuses.keys(), ...needed])
    for (const stream of streams) {
      const status = this.#statuses.get(stream)
      if (status !== 'COMPLETE') throw notComplete(stream, status)
    }
  }

  /** Whether a status of any stream came. */
  get hasStatus(): boolean {
    return this.#statuses.size > 0
  }

  /** Other types are for somebody else; estimates and analytics change nothing here, and are no news. */
  #passOver(name: string, number: number): void {
    if (name === 'TRACE ESTIMATE' || name === 'TRACE ANALYTICS') return
    if (this.#unknown.has(name)) return
    this.#unknown.add(name)
    this.#log.warn(`messages of type ${name} are passed over; the first is line ${number}`)
  }
}

const LEVELS: Readonly<Record<string, keyof Log>> = {
  FATAL: 'error',
  ERROR: 'error',
  WARN: 'warn',
  INFO: 'info',
  DEBUG: 'debug',
  TRACE: 'trace',
}

function sourceFailed(text: string): BizonError {
  return new BizonError('source', `the source failed: ${text}`, {
    hint: 'Look at the log of the program before it. Nothing was published; run the same line again.',
  })
}

function notComplete(stream: string, status: string | undefined): BizonError {
  const last = status === undefined ? 'of it no status came' : `its last status is ${status}`
  return new BizonError(
    'incomplete',
    `the pipe ended without COMPLETE of stream ${stream} (${last}): the program before it was cut off`,
    { hint: 'Run the same line again. Nothing was published.' },
  )
}
