// The bench's input is what the bench says it is.

import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { generate, type Input, LINE_BYTES } from './generate.ts'

const RECORDS = 4001 // more than one batch

let folder: string
const files = (name: string): Input => ({ ndjson: join(folder, `${name}.ndjson`), csv: join(folder, `${name}.csv`) })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-generate-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('every line is exactly as long as the table says', async () => {
  const hash = await generate(files('a'), RECORDS)
  const bytes = await readFile(files('a').ndjson)
  expect(bytes).toHaveLength(RECORDS * LINE_BYTES)
  for (let end = LINE_BYTES; end <= bytes.length; end += LINE_BYTES) {
    expect(bytes.indexOf('\n', end - LINE_BYTES)).toBe(end - 1)
  }
  expect(hash).toBe(createHash('sha256').update(bytes).digest('hex'))
})

test('the CSV holds the same values', async () => {
  await generate(files('a'), RECORDS)
  const records = (await readFile(files('a').ndjson, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const rows: Record<string, string>[] = parse(await readFile(files('a').csv), { columns: true })
  const text = (value: unknown): string => (Array.isArray(value) ? JSON.stringify(value) : String(value))
  expect(rows).toEqual(
    records.map((record) => Object.fromEntries(Object.entries(record).map(([key, value]) => [key, text(value)]))),
  )
})

test('a seed always gives the same records, another seed others', async () => {
  const first = await generate(files('a'), RECORDS, 7)
  expect(await generate(files('b'), RECORDS, 7)).toBe(first)
  expect(await generate(files('c'), RECORDS, 8)).not.toBe(first)
})
