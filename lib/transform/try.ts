// Transforms applied to lines of JSON, one record at a time, so that each one's before and after stand together.

import { isUtf8 } from 'node:buffer'
import { isObject, scanValue, skipWhitespace } from '../json.ts'
import type { Log } from '../log.ts'
import { RawJson, type SourceRecord, textOf } from '../record.ts'
import { openTransforms } from '../transforms.ts'
import { orAborted } from '../wait.ts'
import type { TransformConfig } from './config.ts'
import { oneLine } from './script.ts'

export interface Tried {
  /** From 1. */
  readonly line: number
  /** JSON text of the record; absent: the line is none. */
  readonly before?: string
  /** JSON text of what the transforms made of it. */
  readonly after: readonly string[]
  readonly error?: string
  /** Whether the error would end a run. */
  readonly fails?: boolean
}

const LF = 0x0a
/** A line that is longer is no sample. */
const MAX_LINE_BYTES = 64 * 1024 * 1024

/** Writes no dead letters, and goes on after errors: they are part of what is shown. */
export async function* tryTransforms(
  configs: readonly TransformConfig[],
  input: AsyncIterable<Buffer | string>,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): AsyncGenerator<Tried, void, void> {
  let failures: { error: string; fails: boolean }[] = []
  const opened = await openTransforms(configs, {
    log,
    signal,
    rejected({ label, onError }, _record, { line, summary }) {
      const place = line === undefined ? '' : `, line ${line}`
      failures.push({ error: `transform ${label}${place}: ${summary}`, fails: onError === 'fail' })
    },
  })
  try {
    let line = 0
    for await (const bytes of linesOf(input, signal)) {
      line += 1
      const start = skipWhitespace(bytes, 0, bytes.length)
      if (start === bytes.length) continue
      const raw = new RawJson(bytes, start, bytes.length)
      const problem = problemOf(raw)
      if (problem !== undefined) {
        yield { line, after: [], error: `line ${line} ${problem}`, fails: true }
        continue
      }
      failures = []
      let records: readonly SourceRecord[] = [{ id: String(line), data: raw }]
      for (const apply of opened.steps) records = await apply(records, signal)
      const after = records.map(({ data }) => oneLine(textOf(data)))
      yield { line, before: raw.toString().trimEnd(), after, ...failures[0] }
    }
  } finally {
    await opened.close()
  }
}

function problemOf(raw: RawJson): string | undefined {
  const { buffer, start, end } = raw
  if (!isUtf8(raw.bytes())) return 'is not UTF-8'
  const stop = scanValue(buffer, start, end)
  if (stop < 0) return `is not valid JSON, from column ${~stop + 1}`
  if (skipWhitespace(buffer, stop, end) < end) return `has more than one JSON value, from column ${stop + 1}`
  return isObject(raw) ? undefined : 'is not a JSON object'
}

async function* linesOf(
  input: AsyncIterable<Buffer | string>,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  let pieces: Buffer[] = [] // of a line that is not complete yet
  let size = 0
  const chunks = input[Symbol.asyncIterator]()
  for (;;) {
    const next = await orAborted(chunks.next(), signal)
    signal.throwIfAborted()
    if (next === undefined || next.done) break
    const bytes = Buffer.from(next.value as Buffer)
    let from = 0
    for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, from)) {
      const piece = bytes.subarray(from, at)
      yield pieces.length === 0 ? piece : Buffer.concat([...pieces, piece])
      pieces = []
      size = 0
      from = at + 1
    }
    if (from < bytes.length) pieces.push(bytes.subarray(from))
    size += bytes.length - from
    if (size > MAX_LINE_BYTES) throw new RangeError(`a line is longer than ${MAX_LINE_BYTES / 1024 / 1024} MiB`)
  }
  if (pieces.length > 0) yield Buffer.concat(pieces)
}
