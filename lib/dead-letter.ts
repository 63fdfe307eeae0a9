// A file for records that could not be used, one JSON object a line, with the reason beside the record.

import { open } from 'node:fs/promises'
import { BizonError, type ErrorCode, messageOf } from './errors.ts'

const LF = 0x0a
/** So much of it is held before it should be written. */
const DUE_CHARACTERS = 1024 * 1024

export interface DeadLetterOptions {
  readonly path: string
  /** Code of the error when the file cannot be written. */
  readonly code: ErrorCode
  /** The key that names the file. */
  readonly key: string
}

export class DeadLetters {
  readonly #options: DeadLetterOptions
  #lines = ''

  constructor(options: DeadLetterOptions) {
    this.#options = options
  }

  /** Takes one line of JSON, without its line end. */
  add(line: string): void {
    this.#lines += `${line}\n`
  }

  /** Whether so much is held that `settle` must come before the next `add`. */
  get due(): boolean {
    return this.#lines.length >= DUE_CHARACTERS
  }

  /**
   * Makes what is held durable: before the page that passes over it goes on, so that nothing is passed over without a
   * trace. A run that is killed in between writes the same lines again when it resumes.
   */
  async settle(): Promise<void> {
    if (this.#lines === '') return
    const lines = this.#lines
    this.#lines = ''
    const { path, code, key } = this.#options
    try {
      await append(path, lines)
    } catch (cause) {
      throw new BizonError(code, `cannot write dead letters: ${messageOf(cause)}`, { cause, hint: `Check ${key}.` })
    }
  }
}

async function append(path: string, lines: string): Promise<void> {
  const file = await open(path, 'a+')
  try {
    const found = await file.stat()
    const size = found.isFile() ? found.size : 0
    // A write that was cut off, by a kill or a full disk, left a line without its end: it must not swallow the next.
    const isTorn = size > 0 && (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer[0] !== LF
    await file.appendFile(isTorn ? `\n${lines}` : lines)
    if (found.isFile()) await file.sync()
  } finally {
    await file.close()
  }
}
