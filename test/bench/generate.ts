// Seeded input for the bench: the same records on every machine, each exactly 255 bytes as a line of NDJSON,
// and the same values as CSV.

import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'

export const LINE_BYTES = 255
/** Of the API that gives the same records. */
export const PAGE_RECORDS = 500

const BATCH = 4000
/** Of the CSV. */
export const COLUMNS = ['id', 'name', 'email', 'active', 'score', 'tags', 'city', 'at', 'note'] as const

/** A linear congruential generator: small, seeded, good enough to make text. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

export interface Input {
  readonly ndjson: string
  readonly csv: string
}

/** Writes both files; resolves to the SHA-256 of the NDJSON. */
export async function generate(files: Input, records: number, seed = 42): Promise<string> {
  const next = random(seed)
  const hash = createHash('sha256')
  const ndjson = await open(files.ndjson, 'w')
  const csv = await open(files.csv, 'w')
  try {
    await csv.write(`${COLUMNS.join(',')}\n`)
    for (let from = 0; from < records; from += BATCH) {
      let lines = ''
      let rows = ''
      for (let id = from; id < Math.min(from + BATCH, records); id++) {
        const record = {
          id,
          name: `user ${next(100_000)}`,
          email: `u${next(1_000_000)}@example.com`,
          active: next(2) === 1,
          score: next(10_000) / 100,
          tags: [`a${next(10)}`, `b${next(10)}`],
          city: 'Zürich',
          at: '2024-01-01T00:00:00Z',
          note: '',
        }
        record.note = 'x'.repeat(LINE_BYTES - 1 - Buffer.byteLength(JSON.stringify(record)))
        lines += `${JSON.stringify(record)}\n`
        rows += `${COLUMNS.map((column) => cell(record[column])).join(',')}\n`
      }
      hash.update(lines)
      await ndjson.write(lines)
      await csv.write(rows)
    }
  } finally {
    await ndjson.close()
    await csv.close()
  }
  return hash.digest('hex')
}

function cell(value: string | number | boolean | readonly string[]): string {
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
