// How a pipe begins: the lines that say what all others are, looked at before any of them is read.

import { BizonError } from '../errors.ts'
import { skipWhitespace } from '../json.ts'
import { type Dialect, dialectOf } from './dialect.ts'
import { type Lines, lineEnd, MOST_LINE_BYTES } from './lines.ts'
import { readMessage } from './messages.ts'
import { eachLine } from './read.ts'

export interface Head {
  /** What was read so far, in order. */
  readonly blocks: Lines[]
  /** The first line that is not blank; undefined: there is none. */
  readonly line: Lines | undefined
}

const LF = 0x0a
/** So many are looked at for a first message. */
const MOST_BLOCKS = 100
const BYTE_ORDER_MARK = Buffer.from('\ufeff')

/** Waits for the first line. */
export async function readHead(blocks: AsyncIterator<Lines, void>): Promise<Head> {
  const read: Lines[] = []
  for (;;) {
    const next = await blocks.next()
    if (next.done) return { blocks: read, line: undefined }
    const block = read.length === 0 ? withoutMark(next.value) : next.value
    if (read.length === 0 && isGzip(next.value)) throw compressed()
    read.push(block)
    const line = firstLine(block)
    if (line) return { blocks: read, line }
  }
}

/** What its first lines say that a pipe of somebody else speaks. Reads on until one of them says something. */
export async function dialectIn({ blocks: read }: Head, blocks: AsyncIterator<Lines, void>): Promise<Dialect> {
  for (let at = 0; at < MOST_BLOCKS; at++) {
    if (at === read.length) {
      const next = await blocks.next()
      if (next.done) break
      read.push(next.value)
    }
    const said = dialectOf(read[at] as Lines)
    if (said) return said
  }
  return 'ndjson'
}

/**
 * Whether a tap sends tables whole, with versions: its first record says so, or ACTIVATE_VERSION in its place. Reads on
 * until that comes.
 */
export async function isVersioned({ blocks: read }: Head, blocks: AsyncIterator<Lines, void>): Promise<boolean> {
  let bytes = 0
  for (let at = 0; bytes <= MOST_LINE_BYTES; at++) {
    if (at === read.length) {
      const next = await blocks.next()
      if (next.done) return false
      read.push(next.value)
    }
    const block = read[at] as Lines
    bytes += block.end - block.start
    let found: boolean | undefined
    const line = (buffer: Buffer, start: number, end: number): boolean => {
      const message = readMessage(buffer, start, end)
      if (message.type === 'ACTIVATE_VERSION') found = true
      else if (message.type === 'RECORD' || message.type === 'BATCH') found = message.version !== undefined
      return found !== undefined
    }
    eachLine(block, 1, { line, notUtf8() {} })
    if (found !== undefined) return found
  }
  return false
}

/** Only a pipe that was cut off ends within a line, and that it was cut off is found out at its end. */
export function withoutTorn({ buffer, start, end }: Lines): Lines {
  return { buffer, start, end: buffer[end - 1] === LF ? end : buffer.lastIndexOf(LF, end - 1) + 1 }
}

const isGzip = ({ buffer, start }: Lines): boolean => buffer[start] === 0x1f && buffer[start + 1] === 0x8b

function compressed(): BizonError {
  return new BizonError('source', 'what comes through the pipe is compressed with gzip', {
    hint: 'Put gunzip between: gunzip | bizon-load FILE.',
  })
}

/** Whether it was cut off before its first word, nobody knows. */
export function nothingCame(): BizonError {
  return new BizonError('incomplete', 'nothing came through the pipe: the program before it wrote nothing', {
    hint: 'Look at its errors. Where no records are no error: bizon-load FILE --from ndjson.',
  })
}

function withoutMark({ buffer, start, end }: Lines): Lines {
  const after = start + BYTE_ORDER_MARK.length
  return { buffer, start: buffer.subarray(start, after).equals(BYTE_ORDER_MARK) ? after : start, end }
}

function firstLine({ buffer, start, end }: Lines): Lines | undefined {
  for (let at = start; at < end; ) {
    const stop = lineEnd(buffer, at, end)
    if (skipWhitespace(buffer, at, stop) < stop) return { buffer, start: at, end: stop }
    at = stop + 1
  }
  return undefined
}
