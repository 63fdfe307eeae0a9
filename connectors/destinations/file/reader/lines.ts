// NDJSON read back line by line.

import { createReadStream } from 'node:fs'
import type { StoredRow } from '../../../../lib/audit/reader.ts'
import { type Form, storedOf } from './stored.ts'

const LF = 0x0a
const CHUNK_BYTES = 1 << 18

export async function* readLines(
  path: string,
  form: Form,
  signal: AbortSignal,
): AsyncGenerator<StoredRow[], void, void> {
  for await (const lines of linesOf(path, signal)) {
    yield lines.map((line) => storedOf(line, form))
  }
}

async function* linesOf(path: string, signal: AbortSignal): AsyncGenerator<Buffer[], void, void> {
  let rest: Buffer[] = []
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES, signal }) as AsyncIterable<Buffer>) {
    const end = chunk.lastIndexOf(LF)
    if (end < 0) {
      rest.push(chunk)
      continue
    }
    const whole = rest.length === 0 ? chunk : Buffer.concat([...rest, chunk])
    const until = whole.lastIndexOf(LF)
    rest = until + 1 < whole.length ? [whole.subarray(until + 1)] : []
    const lines: Buffer[] = []
    for (let at = 0; at <= until; ) {
      const next = whole.indexOf(LF, at)
      lines.push(whole.subarray(at, next))
      at = next + 1
    }
    yield lines
  }
  if (rest.length > 0) yield [Buffer.concat(rest)]
}
