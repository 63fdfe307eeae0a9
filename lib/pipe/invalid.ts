// What becomes of a line that is no record: it ends the run, is skipped and counted, or goes to a file of its own.
// Of programs that are not ours: in a pipe of ours such a line is always an error.

import { isUtf8 } from 'node:buffer'
import { DeadLetters } from '../dead-letter.ts'
import { BizonError } from '../errors.ts'
import type { Log } from '../log.ts'

export const INVALID_POLICIES = ['fail', 'skip', 'dead_letter'] as const
export type InvalidPolicy = (typeof INVALID_POLICIES)[number]

export interface InvalidOptions {
  /** Default fail. */
  readonly policy?: InvalidPolicy | undefined
  /** File for `dead_letter`. */
  readonly deadLetter?: string | undefined
  readonly log: Log
}

/** `buffer[start, end)` is a line without its end. */
export interface InvalidLine {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
  readonly number: number
  /** The file it is in, when it did not come through the pipe. */
  readonly file?: string
}

export class InvalidLines {
  readonly #policy: InvalidPolicy
  readonly #path: string
  readonly #log: Log
  readonly #letters: DeadLetters
  #count = 0
  /** Where the input ends without a line end. */
  #torn: { readonly buffer: Buffer; readonly end: number } | undefined

  constructor({ policy = 'fail', deadLetter = '', log }: InvalidOptions) {
    if (policy === 'dead_letter' && deadLetter === '') {
      throw new BizonError('usage', 'invalid lines are to be kept, and no file for them is named', {
        hint: 'Add --dead-letter PATH.',
      })
    }
    this.#policy = policy
    this.#path = deadLetter
    this.#log = log
    this.#letters = new DeadLetters({ path: deadLetter, code: 'destination', key: '--dead-letter' })
  }

  /** The input ended there, within a line. */
  endsTorn(buffer: Buffer, end: number): void {
    this.#torn = { buffer, end }
  }

  /** Throws, unless such lines are to be passed over. */
  report({ buffer, start, end, number, file }: InvalidLine, error: BizonError): void {
    if (this.#torn?.buffer === buffer && end >= this.#torn.end - 1) throw cutOff(error)
    if (this.#policy === 'fail') throw withPolicy(error)
    this.#count += 1
    if (this.#policy === 'skip') return
    const bytes = buffer.subarray(start, end)
    const text = isUtf8(bytes) ? { text: bytes.toString() } : { base64: bytes.toString('base64') }
    this.#letters.add(
      JSON.stringify({ ...(file !== undefined && { file }), line: number, error: error.message, ...text }),
    )
  }

  /** Writes what is to be kept: before the page that passes over such lines goes on. */
  settle(): Promise<void> {
    return this.#letters.settle()
  }

  /** Says how many there were. `records`: how many others; without any, what came is something else than was expected. */
  finish(records: number): void {
    if (this.#count === 0) return
    if (records === 0) throw noneIs(this.#count)
    const what = this.#count === 1 ? '1 line was' : `${this.#count} lines were`
    this.#log.warn(`${what} not valid and ${this.#policy === 'skip' ? 'skipped' : `written to ${this.#path} instead`}`)
  }
}

function noneIs(count: number): BizonError {
  const what = count === 1 ? 'the only line that came is' : `none of the ${count} lines that came is`
  return new BizonError('invalid_record', `${what} ${count === 1 ? 'no' : 'a'} record; nothing was loaded`, {
    hint: 'Bare records are one JSON object a line; where it is CSV, say --from csv.',
  })
}

function withPolicy({ code, message, hint = '' }: BizonError): BizonError {
  return new BizonError(code, message, { hint: `${hint} To load the others without it, add --on-invalid skip.`.trim() })
}

/** No policy may take a pipe that was cut off for one that ended. */
function cutOff({ message }: BizonError): BizonError {
  return new BizonError(
    'incomplete',
    `${message}; the pipe ended within this line: the program before it was cut off`,
    {
      hint: 'Look at its errors, and run the same line again. Nothing was published.',
    },
  )
}
