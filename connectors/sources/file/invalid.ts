// What becomes of a record that is not valid: it ends the run, is skipped and counted, or goes to a file of its own.

import { DeadLetters } from '../../../lib/dead-letter.ts'
import { BizonError } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'

/** A record that is not valid. */
export interface Fault {
  readonly file: string
  /** From 1; in a JSON file the number of the record. */
  readonly line: number
  /** From 1, in characters. */
  readonly column?: number | undefined
  readonly problem: string
  /** The record's bytes, or the beginning of them. */
  readonly text: Buffer
  /** What helps. Default: what helps whatever it is. */
  readonly hint?: string
}

const QUOTED_CHARACTERS = 60
const DEAD_LETTER_BYTES = 64 * 1024

export class Invalid {
  readonly #policy: 'fail' | 'skip' | 'dead_letter'
  readonly #deadLetterPath: string
  readonly #log: Log
  readonly #deadLetters: DeadLetters
  #count = 0

  constructor(policy: 'fail' | 'skip' | 'dead_letter', deadLetterPath: string, log: Log) {
    this.#policy = policy
    this.#deadLetterPath = deadLetterPath
    this.#log = log
    this.#deadLetters = new DeadLetters({ path: deadLetterPath, code: 'source', key: 'source.dead_letter_path' })
  }

  /** Throws, unless such records are to be passed over. */
  report(fault: Fault): void {
    if (this.#policy === 'fail') throw invalidRecord(fault)
    this.#count += 1
    if (this.#policy === 'skip') return
    const { file, line, text } = fault
    const kept = text.toString('utf8', 0, DEAD_LETTER_BYTES)
    this.#deadLetters.add(JSON.stringify({ file, line, error: messageFor(fault), text: kept }))
  }

  /** Whether so much is to be written that `settle` must come before the next report. */
  get due(): boolean {
    return this.#deadLetters.due
  }

  /** Writes the dead letters: before the page that passes over such records goes out. */
  settle(): Promise<void> {
    return this.#deadLetters.settle()
  }

  /** Says how many there were. */
  finish(): void {
    if (this.#count === 0) return
    const what = this.#count === 1 ? '1 record was' : `${this.#count} records were`
    const where = this.#policy === 'skip' ? 'skipped' : `written to ${this.#deadLetterPath} instead`
    this.#log.warn(`${what} not valid and ${where}`)
  }
}

export function invalidRecord(fault: Fault, hint?: string): BizonError {
  return new BizonError('invalid_record', messageFor(fault), {
    hint:
      hint ??
      fault.hint ??
      'Correct it, or set source.on_invalid to skip or dead_letter to load the others without it.',
  })
}

/** The start of some text on one line, for people. */
export function excerpt(text: Buffer): string {
  // Four bytes a character at most, and one more character to know whether it goes on.
  const start = text.toString('utf8', 0, QUOTED_CHARACTERS * 4 + 4).replace(/\p{Cc}/gu, '·')
  return start.length > QUOTED_CHARACTERS ? `${start.slice(0, QUOTED_CHARACTERS)}…` : start
}

/** A byte as people read it: a character, or its number. */
export function nameOfByte(buffer: Buffer, at: number): string {
  const byte = buffer[at] as number
  if (byte > 0x20 && byte < 0x7f) return byte === 0x22 ? `'"'` : `"${String.fromCharCode(byte)}"`
  if (byte >= 0x80) return `"${[...buffer.toString('utf8', at, at + 4)][0]}"`
  return byte === 0x20 ? 'a space' : byte === 0x0a ? 'a line break' : `byte 0x${byte.toString(16).padStart(2, '0')}`
}

function messageFor({ file, line, column, problem, text }: Fault): string {
  const place = column === undefined ? `${file}:${line}` : `${file}:${line}:${column}`
  return `${place} ${problem}${text.length > 0 ? `; it starts ${excerpt(text)}` : ''}`
}
