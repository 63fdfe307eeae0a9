// Our lines, by the rules of the standard and of docs/pipe-format.md, as another program reads them.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { extract } from '../../../lib/extract.ts'
import { Bookmarks } from '../../../lib/pipe/bookmarks.ts'
import { extractTo } from '../../../lib/pipe/to.ts'
import { writeSinger } from '../../../lib/singer.ts'
import type { Page } from '../../../lib/source.ts'
import {
  joined,
  keeper,
  keepingDestination,
  linesOf,
  loaded,
  pipeConfig,
  textSource,
  written,
} from '../../support/pipe.ts'
import { complaintsOfLines } from '../../support/singer-schema.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-lines-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const PAGES = [['{"a":1.10}', '{"b":"\\ud800"}'], [], ['{"a":12345678901234567890}']]
const config = () => pipeConfig(folder, textSource(PAGES), keepingDestination(keeper()))

test('of a whole run, and of one that goes on', async () => {
  const pipeline = await config()
  const whole = linesOf((await written(pipeline, 'singer')).text)
  expect(complaintsOfLines(whole)).toEqual([])
  await loaded(pipeline, joined(whole.slice(0, 6)))
  const rest = linesOf((await written(pipeline, 'singer')).text)
  expect(rest.length).toBeLessThan(whole.length)
  expect(complaintsOfLines(rest)).toEqual([])
})

test('of one of several streams', async () => {
  const chunks: Buffer[] = []
  const out = { write: async (bytes: Uint8Array): Promise<void> => void chunks.push(Buffer.from(bytes)) }
  await extractTo(extract(await config()), out, { begin: false, among: new Bookmarks(), from: { by: 'nothing' } })
  const lines = linesOf(Buffer.concat(chunks).toString())
  expect(lines.some((line) => line.includes('"bookmarks"'))).toBe(true)
  expect(complaintsOfLines(lines, { plain: true })).toEqual([])
})

test('of a script, with times, routes, keys and streams that change', async () => {
  async function* pages(): AsyncGenerator<Page> {
    const timestamp = new Date('2026-01-02T03:04:05.678Z')
    yield { records: [{ id: 'ü"\n', data: { a: 1 }, timestamp, destinationId: 'else' }], next: { after: 'x' } }
    yield { records: [{ id: '2', data: {} }], stream: { name: 'b', primaryKey: ['id'] }, next: null, watermark: [1] }
  }
  const about = { pipeline: 'p', source: 's', stream: { name: 'a', primaryKey: ['a'] } }
  const chunks: Buffer[] = []
  for await (const bytes of writeSinger(pages(), about)) chunks.push(bytes)
  expect(complaintsOfLines(linesOf(Buffer.concat(chunks).toString()))).toEqual([])
})

test('of the example in the documentation', async () => {
  const page = await readFile(new URL('../../../docs/pipe-format.md', import.meta.url), 'utf8')
  const [, shown = ''] = /```\n(\{"type":"STATE"[\s\S]*?)```/.exec(page) ?? []
  const whole = shown
    .replaceAll('9f46…', '9f46'.repeat(8))
    .replace('{…}', '{"pipeline":"p","source":"s","stream":"orders","mode":"full_refresh"}')
  expect(linesOf(whole)).toHaveLength(5)
  expect(complaintsOfLines(linesOf(whole))).toEqual([])
})

test.each([
  ['a lower-case type', '{"type":"record","stream":"a","record":{},"bizon":{"n":1,"id":"1"}}'],
  ['a schema without properties', '{"type":"SCHEMA","stream":"a","schema":{"type":"object"},"key_properties":[]}'],
  ['a missing number', '{"type":"RECORD","stream":"a","record":{},"bizon":{"id":"1"}}'],
  ['a key that no page describes', '{"type":"RECORD","stream":"a","record":{},"bizon":{"n":1,"id":"1","more":1}}'],
  ['a state of nothing', '{"type":"STATE","value":null}'],
])('%s is found', async (_what, line) => {
  const whole = linesOf((await written(await config(), 'singer')).text)
  expect(complaintsOfLines(whole.toSpliced(2, 1, line))).not.toEqual([])
})
