// Files to pages. One file after the other is read in blocks, blocks become records, records become pages; each page
// says how far every file is read. In stream mode the files are looked at again and again, until the signal aborts.

import { isUtf8 } from 'node:buffer'
import { COMMA, TAB } from '../../../lib/csv.ts'
import { scanValue, skipWhitespace } from '../../../lib/json.ts'
import type { Page, SourceContext, Start, SyncMode } from '../../../lib/source.ts'
import { sleep } from '../../../lib/wait.ts'
import { ArrayParser } from './array.ts'
import { CsvParser } from './csv.ts'
import type { Identity } from './identity.ts'
import { openInput } from './input.ts'
import { Invalid } from './invalid.ts'
import { LineParser } from './lines.ts'
import { readParquet } from './parquet.ts'
import { type FileToRead, listFiles, STDIN } from './paths.ts'
import { changedFile, Progress, START } from './progress.ts'
import { goTo, identitiesOf, type Reader, recognise, type Settings } from './recognise.ts'
import { type Parser, Rows } from './rows.ts'

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
  const reader: Reader = { settings, mode, log, signal, progress, rows, invalid, resumption, bytesSincePage: 0 }
  const nextPage = async (): Promise<Page> => {
    await invalid.settle()
    reader.bytesSincePage = 0
    return { ...rows.take(), next: progress.position }
  }
  const seen = new Map<string, Identity | undefined>()
  try {
    for (let round = 0; !signal.aborted; round++) {
      const files = await listFiles(settings, round === 0)
      const there = await identitiesOf(files)
      await recognise(files, there, reader)
      if (round === 0) checkStart(files, progress)
      // What is gone would only be carried on from run to run.
      if (mode === 'incremental') progress.keep(files.map(({ path }) => path))
      for (const file of files) {
        const identity = there.get(file.path)
        if (round > 0 && seen.has(file.path) && identity === seen.get(file.path)) continue
        for await (const _ of readFile(file, reader)) yield await nextPage()
        seen.set(file.path, identity)
        if (signal.aborted) return
      }
      if (mode !== 'stream' || stdin) {
        const { watermark } = progress
        yield { ...(await nextPage()), next: null, ...(mode !== 'stream' && { watermark }) }
        return
      }
      if (reader.bytesSincePage > 0) yield await nextPage()
      await sleep(settings.poll_interval, signal)
    }
  } finally {
    invalid.finish()
  }
}

/** The file in which the read goes on must still be there; others may be gone, they were read. */
function checkStart(files: readonly FileToRead[], progress: Progress): void {
  const path = progress.startedIn
  if (path !== undefined && !files.some((file) => file.path === path)) throw changedFile(path, 'is gone', 'resume')
}

/**
 * Reads a file from where it was left. Yields whenever there is enough for a page. Each block begins where the one before
 * was parsed to, and its size does not depend on what was read before: so does each page, and whoever goes on at a
 * position gets the pages that followed it.
 */
async function* readFile(file: FileToRead, reader: Reader): AsyncGenerator<undefined, void, void> {
  const { format } = file
  if (format === 'parquet') {
    yield* readParquet(file, reader)
    return
  }
  const { settings, signal, progress, rows } = reader
  const { path } = file
  const place = progress.at(path)
  rows.file = path === STDIN ? 'stdin' : path
  const parser = parserOf(format, settings, rows, place.line)
  if (place.offset > 0 && !(await readHead(file, parser, reader))) return
  const input = await openInput(file, rows.pool, signal)
  if (input === undefined) return
  try {
    const tail = await goTo(input, path, reader)
    if (tail === undefined) return
    progress.identify(path, input.identity)
    let offset = place.offset
    let carry: Buffer = Buffer.alloc(0)
    // A last line was taken without its line end: the end, when it came since, belongs to it.
    let unfinished = offset > 0 && place.line > 0 && file.format !== 'json' && tail.byte !== LINE_END
    let full = false
    for (let last = false; !last; ) {
      // What does not hold one record yet is doubled, so that a long record is not looked at too often.
      const whole = carry.length < settings.page_bytes ? settings.page_bytes : carry.length * 2
      const filled = await input.fill(carry, whole - carry.length, signal)
      if (signal.aborted) return
      // What a full page left over may hold whole records, at the end of the file too.
      const block = filled ?? (full ? carry : undefined)
      last = block === undefined
      // Only the parser knows whether JSON is complete when nothing is left over.
      if (last && carry.length === 0 && file.format !== 'json') break
      if (last && isHalfWritten(carry, file, reader.mode)) {
        leaveLastLine(carry, parser.line + 1, reader)
        break
      }
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
      // A byte order mark without anything behind it is no progress: its line is still to come.
      const marked = offset === 0 ? start : 0
      const utf8 = isUtf8(wholeCharacters(buffer, last))
      const blockOffset = offset
      const found = rows.bytes
      let at = 0
      for (;;) {
        const from = Math.max(at, start)
        const parsed = parser.parse({ buffer, offset: blockOffset, start: from, last, utf8 })
        const used = parsed === marked ? 0 : parsed
        tail.push(buffer.subarray(at, used))
        reader.bytesSincePage += used - at
        offset = blockOffset + used
        at = used
        if (parser.settled) progress.move(path, { offset, line: parser.line, tail: tail.hash, file: input.identity })
        // So many small records in one block that it makes several pages, or dead letters that must be written first.
        full = rows.full
        if (full || !rows.pausing) break
        await reader.invalid.settle()
      }
      // A copy: the block is the page's now, or free again if no record refers to it.
      carry = Buffer.from(buffer.subarray(at))
      if (rows.bytes === found || !parser.byReference) rows.pool.giveBack(buffer)
      if (full) last = false
      const enough = input.live || reader.bytesSincePage * 2 >= settings.page_bytes
      if (full || (parser.settled && enough)) yield undefined
    }
    if (offset === 0) progress.move(path, START)
  } finally {
    await input.close()
  }
}

/**
 * Whether the last line, which has no line end, may be half of one that somebody is writing. An object that is complete
 * is no half of another, but any row of CSV may be.
 */
function isHalfWritten(carry: Buffer, { path, format, gzip }: FileToRead, mode: SyncMode): boolean {
  if (mode === 'full_refresh' || path === STDIN || gzip) return false
  return format === 'json' ? mode === 'stream' : format !== 'ndjson' || !isObject(carry)
}

function isObject(line: Buffer): boolean {
  const end = scanValue(line, 0, line.length)
  if (end < 0 || line[skipWhitespace(line, 0, line.length)] !== BRACE) return false
  return skipWhitespace(line, end, line.length) === line.length
}

/** Says so, but not at every look of a stream. */
function leaveLastLine(carry: Buffer, line: number, { mode, log, rows }: Reader): void {
  if (mode !== 'incremental' || skipWhitespace(carry, 0, carry.length) === carry.length) return
  log.warn(`${rows.file}:${line} has no line end yet and may be half written: it is left to the next run`)
}

const LINE_END = 0x0a
const BRACE = 0x7b
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

function parserOf(
  format: Exclude<FileToRead['format'], 'parquet'>,
  settings: Settings,
  rows: Rows,
  line: number,
): Parser {
  switch (format) {
    case 'ndjson':
      return new LineParser(rows, line)
    case 'json':
      return new ArrayParser(rows, line)
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
      if (parser.readHead({ buffer, offset: 0, start, last: block === undefined, utf8: false }) || block === undefined)
        return true
      carry = block
    }
  } finally {
    await input?.close()
  }
}

const HEAD_BYTES = 64 * 1024

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
