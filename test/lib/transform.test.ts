import { expect, test } from 'vitest'
import { RawJson, type SourceRecord } from '../../lib/record.ts'
import { applyTransform, type Transform } from '../../lib/transform.ts'
import { never } from '../support/load.ts'

/** The records of a page that was read at once, as the file source has them, through a transform. */
async function through(apply: Transform): Promise<{ block: Buffer; records: readonly SourceRecord[] }> {
  const block = Buffer.from(Array.from({ length: 1000 }, (_, n) => `{"n":${1000 + n}}`).join('\n'))
  const records = Array.from({ length: 1000 }, (_, n) => ({
    id: `${n}`,
    data: new RawJson(block, n * 11, n * 11 + 10),
    destinationId: 'there',
  }))
  const page = await applyTransform(apply, { records, next: null, bytes: 10_000 }, never)
  return { block, records: page.records }
}

const refersTo = (block: Buffer, { data }: SourceRecord): boolean =>
  data instanceof RawJson && data.buffer.buffer === block.buffer

test('a few records that are left of a page do not hold the bytes of all', async () => {
  const { block, records } = await through((all) => all.filter((_, n) => n % 500 === 0))
  expect(records.map(({ id, destinationId, data }) => [id, destinationId, String(data)])).toEqual([
    ['0', 'there', '{"n":1000}'],
    ['500', 'there', '{"n":1500}'],
  ])
  expect(records.some((record) => refersTo(block, record))).toBe(false)
})

test('many records are not copied', async () => {
  for (const apply of [(all) => all, (all) => all.slice(1)] satisfies Transform[]) {
    const { block, records } = await through(apply)
    expect(records.every((record) => refersTo(block, record))).toBe(true)
  }
})

test('records that are not text stay what they are', async () => {
  const made = [{ id: 'a', data: { n: 1 } }]
  expect((await through(() => made)).records).toEqual(made)
  expect((await through(() => [])).records).toEqual([])
})
