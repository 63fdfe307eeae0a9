// The loop over the bytes of CSV and TSV (RFC 4180; lines end with LF or CRLF): each row becomes JSON text, every cell
// a string, in one pass. A quote inside a cell that does not start with one is an ordinary character.

import { escapeInto } from './json.ts'

/** What JSON to write around the cells. */
export interface Layout {
  /** Before the n-th cell; the last one serves for all that follow. */
  readonly prefixes: readonly Buffer[]
  /** After the last cell. */
  readonly close: Buffer
  /** How many cells a row has; undefined: any number. */
  readonly cells: number | undefined
}

/** Of rows whose cells have no names yet: lists. */
export const LISTS: Layout = {
  prefixes: [Buffer.from('["'), Buffer.from('","')],
  close: Buffer.from('"]'),
  cells: undefined,
}

/** Of rows with these columns: objects. */
export function layoutOf(columns: readonly string[]): Layout {
  const prefixes = columns.map((name, index) => Buffer.from(`${index === 0 ? '{' : '",'}${JSON.stringify(name)}:"`))
  return { prefixes, close: Buffer.from('"}'), cells: columns.length }
}

/** Why the row cannot name columns; undefined: it can. */
export function problemOfNames(names: readonly string[]): string | undefined {
  const empty = names.indexOf('')
  if (empty >= 0) return `column ${empty + 1} of the header row has no name`
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  return twice === undefined ? undefined : `the header row names ${JSON.stringify(twice)} twice`
}

/** Rows go here. `row` and `misfit` return whether that is enough for now. */
export interface RowSink {
  /** A buffer of at least so many bytes, to write rows into. */
  room(bytes: number): Buffer
  row(json: Buffer, start: number, end: number, from: number, to: number, line: number): boolean
  /** A row that does not fit; `from` and `to` bound its bytes in the input. */
  misfit(problem: string, from: number, to: number, line: number): boolean
}

export interface Scan {
  /** Index after the last complete row. */
  readonly end: number
  /** Lines up to there, the ones before included. */
  readonly line: number
  /** Whether what is behind it is a cell whose quote was not closed. */
  readonly open: boolean
  /** Whether it stopped because the sink has enough, so that more rows may follow in the input. */
  readonly enough: boolean
}

export type CsvScanner = (
  input: Buffer,
  start: number,
  last: boolean,
  line: number,
  delimiter: number,
  layout: Layout,
  sink: RowSink,
) => Scan

const OUTPUT_BYTES = 1024 * 1024
/** Room for the JSON around a cell, and for the longest escape. */
const SLACK = 32

/** Delimiters. */
export const COMMA = 0x2c
export const TAB = 0x09

export const scanCsv = createScanner()

/** From here on the call of a copy in C++ costs less than a loop. */
const LONG_BYTES = 48

function copyBytes(input: Buffer, from: number, end: number, output: Buffer, to: number): number {
  if (end - from >= LONG_BYTES) return to + input.copy(output, to, from, end)
  for (let at = from; at < end; at++) output[to++] = input[at] as number
  return to
}

/** One closure, made once, for the reason given in json/scan.ts: the tables must be constants. */
function createScanner(): CsvScanner {
  const LF = 0x0a
  const CR = 0x0d
  const SPACE = 0x20
  const QUOTE = 0x22
  const BACKSLASH = 0x5c
  // What cannot just be copied: inside quotes, and outside of them.
  const QUOTED_STOPS = Uint8Array.from({ length: 256 }, (_, c) => (c < SPACE || c === QUOTE || c === BACKSLASH ? 1 : 0))
  const PLAIN_STOPS = QUOTED_STOPS.map((stop, c) => (stop === 1 || c === COMMA ? 1 : 0))

  return function scan(input, start, last, firstLine, delimiter, { prefixes, close, cells }, sink) {
    const end = input.length
    const prefixBytes = Math.max(...prefixes.map((prefix) => prefix.length), close.length)
    let output = sink.room(Math.min(OUTPUT_BYTES, (end - start) * 2 + 1024))
    let to = 0
    let at = start
    let line = firstLine
    let enough = false
    while (at < end && !enough) {
      const rowAt = at
      const rowLine = line + 1
      if (cells !== 1) {
        const next = input[at] === CR ? at + 1 : at
        if (input[next] === LF || (last && next === end)) {
          at = Math.min(next + 1, end)
          line++
          continue
        }
      }
      let rowTo = to
      let cell = 0
      let quoted = false
      let problem = ''
      let open = true
      // One turn a cell, or a part of one: between special characters, and for as long as there is room.
      let begin = true
      while (open) {
        let room = output.length - to - prefixBytes - SLACK
        if (room < SLACK) {
          const larger = sink.room(Math.max(OUTPUT_BYTES, (to - rowTo) * 2 + prefixBytes + 4 * SLACK))
          to = output.copy(larger, 0, rowTo, to)
          rowTo = 0
          output = larger
          room = output.length - to - prefixBytes - SLACK
        }
        if (begin) {
          begin = false
          const prefix = prefixes[cell < prefixes.length ? cell : prefixes.length - 1] as Buffer
          for (let k = 0; k < prefix.length; k++) output[to++] = prefix[k] as number
          cell++
          if (input[at] === QUOTE) {
            quoted = true
            at++
          }
        }
        const stop = Math.min(at + room, end)
        let c = 0
        if (quoted) {
          const from = at
          while (at < stop) {
            c = input[at] as number
            if (QUOTED_STOPS[c] === 1) break
            at++
          }
          to = copyBytes(input, from, at, output, to)
          if (at === stop) {
            if (stop < end) continue
            return { end: rowAt, line: rowLine - 1, open: true, enough }
          }
          if (c !== QUOTE) {
            if (c === LF) line++
            to = escapeInto(input, at, at + 1, output, to)
            at++
            continue
          }
          if (input[at + 1] === QUOTE && at + 1 < end) {
            output[to++] = BACKSLASH
            output[to++] = QUOTE
            at += 2
            continue
          }
          // The closing quote, or, at the end of the block, half of a doubled one.
          if (at + 1 === end && !last) return { end: rowAt, line: rowLine - 1, open: false, enough }
          quoted = false
          at++
          const after = input[at]
          const ends = at === end || after === delimiter || after === LF
          if (!ends && !(after === CR && (input[at + 1] === LF || at + 1 === end))) {
            problem ||= `has text behind the closing quote of cell ${cell}`
          }
          continue
        }
        const from = at
        while (at < stop) {
          c = input[at] as number
          if (PLAIN_STOPS[c] === 1) break
          at++
        }
        to = copyBytes(input, from, at, output, to)
        if (at === stop) {
          if (stop < end) continue
          if (!last) return { end: rowAt, line: rowLine - 1, open: false, enough }
          open = false
        } else if (c === delimiter) {
          at++
          begin = true
        } else if (c === LF) {
          at++
          open = false
        } else if (c === CR && (at + 1 === end || input[at + 1] === LF)) {
          if (at + 1 === end && !last) return { end: rowAt, line: rowLine - 1, open: false, enough }
          at = Math.min(at + 2, end)
          open = false
        } else {
          to = escapeInto(input, at, at + 1, output, to)
          at++
        }
      }
      line++
      for (let k = 0; k < close.length; k++) output[to++] = close[k] as number
      output[to++] = LF // rows that lie behind one another as lines can be copied together
      if (cells !== undefined && cell !== cells) problem = `has ${cell} cells instead of ${cells}`
      if (problem === '') {
        enough = sink.row(output, rowTo, to - 1, rowAt, at, rowLine)
      } else {
        to = rowTo
        enough = sink.misfit(problem, rowAt, at, rowLine)
      }
    }
    return { end: at, line, open: false, enough }
  }
}
