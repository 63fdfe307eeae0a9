// Files to pages. One file after the other is read in blocks, blocks become records, records become pages; each page
// says how far every file is read. In stream mode the files are looked at again and again, until the signal aborts.

import { isUtf8 } from 'node:buffer'
import type { Page, SourceContext, Start, SyncMode } from '../../../lib/source.ts'
import { sleep } from '../../../lib/wait.ts'
import type { FileConfig } from '../file.ts'
import { ArrayParser } from './array.ts'
import { CsvParser } from './csv.ts'
import { COMMA, TAB } from './csv-scan.ts'
import { type Input, openInput, sizeOnDisk } from './input.ts'
import { Invalid } from './invalid.ts'
import { LineParser } from './lines.ts'
import { type FileToRead, listFiles, STDIN } from './paths.ts'
import { changedFile, Progress, type Resumption, TAIL_BYTES, Tail } from './progress.ts'
import { type Parser, Rows } from './rows.ts'

type Settings = FileConfig & { readonly dead_letter_path: string }

export async function* readFiles(
  settings: Settings,
  { mode, log }: SourceContext,
  from: Start,
  signal: AbortSignal,
): AsyncGenerator<Page, void, void> {
  const stdin = settings.path.includes(STDIN)
  const invalid = new Invalid(settings.on_invalid, settings.dead_letter_path, log)
  const rows = new Rows(settings, invalid)
  const progress = new Progress(stdin ? {} : from)
  const resumption = mode === 'incremental' && from.position === undefined ? 'increment' : 'resume'
  const reader: Reader = { settings, mode, signal, progress, rows, resumption, bytesSincePage: 0 }
  const nextPage = async (end: boolean): Promise<Page> => {
    await invalid.settle()
    reader.bytesSincePage = 0
    const { position, watermark } = progress.snapshot()
    return { ...rows.take(), next: end ? null : position, watermark }
  }
  const sizes = new Map<string, number>()
  try {
    for (let round = 0; !signal.aborted; round++) {
      const files = await listFiles(settings, round === 0)
      if (round === 0) checkStart(files, progress)
      for (const file of files) {
        const size = await sizeOnDisk(file.path)
        if (round > 0 && size === sizes.get(file.path)) continue
        for await (const _ of readFile(file, reader)) yield await nextPage(false)
        sizes.set(file.path, size)
        if (signal.aborted) return
      }
      if (mode !== 'stream' || stdin) {
        yield await nextPage(true)
        return
      }
      if (reader.bytesSincePage > 0) yield await nextPage(false)
      await sleep(settings.poll_interval, signal)
    }
  } finally {
    invalid.finish()
  }
}

interface Reader {
  readonly settings: Settings
  readonly mode: SyncMode
  readonly signal: AbortSignal
  readonly progress: Progress
  readonly rows: Rows
  readonly resumption: Resumption
  bytesSincePage: number
}

/** The file in which the read goes on must still be there; others may be gone, they were read. */
function checkStart(files: readonly FileToRead[], progress: Progress): void {
  const path = progress.startedIn
  if (path !== undefined && !files.some((file) => file.path === path)) throw changedFile(path, 'is gone', 'resume')
}

/** Reads a file from where it was left; yields whenever there is enough for a page. */
async function* readFile(file: FileToRead, reader: Reader): AsyncGenerator<void, void, void> {
  const { settings, signal, progress, rows } = reader
  const { path } = file
  const place = progress.at(path)
  rows.file = path === STDIN ? 'stdin' : path
  const parser = parserOf(file, settings, rows, place.line, place.offset)
  if (place.offset > 0 && !(await readHead(file, parser, reader))) return
  const input = await openInput(file, rows.pool, signal)
  if (input === undefined) return
  try {
    const tail = await goTo(input, path, reader)
    if (tail === undefined) return
    let offset = place.offset
    let carry: Buffer = Buffer.alloc(0)
    // A last line was taken without its line end: the end, when it came since, belongs to it.
    let unfinished = offset > 0 && file.format !== 'json' && tail.byte !== LINE_END
    for (let last = false; !last; ) {
      // What does not hold one record yet is doubled, so that a long record is not looked at too often.
      const block = await input.fill(carry, Math.max(settings.page_bytes, carry.length), signal)
      if (signal.aborted) return
      last = block === undefined
      // Only the parser knows whether JSON is complete when nothing is left over.
      if (last && ((carry.length === 0 && file.format !== 'json') || mayGrow(file, reader.mode))) break
      const buffer = block ?? carry
      let start = 0
      if (unfinished) {
        start = lineEndAt(buffer, last)
        if (start < 0) {
          carry = buffer
          continue
        }
        if (start === 0)
          throw changedFile(`${path}:${place.line}`, 'was longer than it was when it was read', reader.resumption)
        unfinished = false
      } else if (offset === 0) {
        if (!last && buffer.length < BYTE_ORDER_MARK.length) {
          carry = buffer
          continue
        }
        if (buffer.indexOf(BYTE_ORDER_MARK) === 0) start = BYTE_ORDER_MARK.length
      }
      const found = rows.bytes
      const used = parser.parse({ buffer, start, last, utf8: isUtf8(wholeCharacters(buffer, last)) })
      offset += used
      tail.push(buffer.subarray(0, used))
      // A copy: the block is the page's now, or free again if no record refers to it.
      carry = Buffer.from(buffer.subarray(used))
      if (rows.bytes === found || !parser.byReference) rows.pool.giveBack(buffer)
      if (parser.settled) progress.move(path, { offset, line: parser.line, tail: tail.hash })
      reader.bytesSincePage += used
      if (parser.settled && (input.live || reader.bytesSincePage * 2 >= settings.page_bytes)) yield
    }
    if (offset === 0) progress.move(path, { offset: 0, line: 0, tail: '' })
  } finally {
    await input.close()
  }
}

/** Whether what has no line end yet may be half of a line that somebody is writing. */
function mayGrow({ path, format, gzip }: FileToRead, mode: SyncMode): boolean {
  if (mode === 'full_refresh' || path === STDIN || gzip) return false
  return mode === 'stream' || format !== 'json'
}

const LINE_END = 0x0a
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

function parserOf(file: FileToRead, settings: Settings, rows: Rows, line: number, offset: number): Parser {
  switch (file.format) {
    case 'ndjson':
      return new LineParser(rows, line)
    case 'json':
      return new ArrayParser(rows, line, offset)
    case 'csv':
      return new CsvParser(rows, line, COMMA, settings.columns)
    case 'tsv':
      return new CsvParser(rows, line, TAB, settings.columns)
  }
}

/** Reads again what the start of the file says about the rest. False if the signal aborted. */
async function readHead(file: FileToRead, parser: Parser, { settings, rows, signal }: Reader): Promise<boolean> {
  if (parser.readHead === undefined) return true
  const input = await openInput(file, rows.pool, signal)
  try {
    let carry: Buffer = Buffer.alloc(0)
    for (;;) {
      const block = await input?.fill(carry, Math.min(settings.page_bytes, HEAD_BYTES) + carry.length, signal)
      if (signal.aborted) return false
      const buffer = block ?? carry
      const start = buffer.indexOf(BYTE_ORDER_MARK) === 0 ? BYTE_ORDER_MARK.length : 0
      if (parser.readHead({ buffer, start, last: block === undefined, utf8: false }) || block === undefined) return true
      carry = block
    }
  } finally {
    await input?.close()
  }
}

const HEAD_BYTES = 64 * 1024

/** Goes to where the file was left and makes sure that it is still the same up to there. Undefined if aborted. */
async function goTo(input: Input, path: string, { progress, signal, resumption }: Reader): Promise<Tail | undefined> {
  const place = progress.at(path)
  const before = await input.seek(place.offset, TAIL_BYTES, signal)
  if (signal.aborted) return undefined
  if (before === undefined)
    throw changedFile(path, `is shorter than the ${place.offset} bytes that were read of it`, resumption)
  const tail = new Tail(before)
  if (place.offset > 0 && tail.hash !== place.tail) {
    throw changedFile(path, `is not the file it was: it differs before byte ${place.offset}`, resumption)
  }
  return tail
}

/** Length of the line end at the start; 0 if there is none, negative if more bytes are needed to tell. */
function lineEndAt(buffer: Buffer, last: boolean): number {
  if (buffer[0] === LINE_END) return 1
  if (buffer[0] !== 0x0d) return 0
  if (buffer.length === 1) return last ? 1 : -1
  return buffer[1] === LINE_END ? 2 : 0
}

/** The bytes without a character that is cut off at their end, unless nothing follows. */
function wholeCharacters(buffer: Buffer, last: boolean): Buffer {
  if (last) return buffer
  for (let back = 1; back <= 4 && back <= buffer.length; back++) {
    const byte = buffer[buffer.length - back] as number
    if ((byte & 0xc0) !== 0x80) {
      const length = byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
      return length > back ? buffer.subarray(0, buffer.length - back) : buffer
    }
  }
  return buffer
}
