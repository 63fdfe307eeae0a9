// A raw line break can stand in JSON text, as white space between tokens only; where a line is a record it must not.

import { RawJson } from '../record.ts'

const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20

/** A copy with spaces instead. */
export function withoutLineBreaks(raw: RawJson): RawJson {
  const copy = Buffer.from(raw.bytes())
  for (let i = 0; i < copy.length; i++) if (copy[i] === LF || copy[i] === CR) copy[i] = SPACE
  return new RawJson(copy)
}

/** Finds them in a buffer that is looked at in rising order, each byte once. */
export class LineBreaks {
  readonly buffer: Buffer
  #from = 0
  #lf = -1
  #cr = -1

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  within(start: number, end: number): boolean {
    if (start < this.#from) {
      const part = this.buffer.subarray(start, end)
      return part.includes(LF) || part.includes(CR)
    }
    this.#from = start
    if (this.#lf < start) this.#lf = this.#next(LF, start)
    if (this.#cr < start) this.#cr = this.#next(CR, start)
    return this.#lf < end || this.#cr < end
  }

  #next(byte: number, start: number): number {
    const found = this.buffer.indexOf(byte, start)
    return found < 0 ? Number.POSITIVE_INFINITY : found
  }
}
