import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { load } from '../../lib/load.ts'
import { pipeline } from '../../lib/pipeline.ts'
import { RawJson, textOf } from '../../lib/record.ts'
import { fromPipe, type PipedPage, readSinger, writeSinger } from '../../lib/singer.ts'
import type { Page } from '../../lib/source.ts'
import { testConfig } from '../support/engine.ts'
import { scriptedSource, shelf, shelfDestination } from '../support/shelf.ts'

const about = { pipeline: 'test', source: 'script', stream: { name: 'numbers', primaryKey: ['n'] } }
const raw = (n: number) => ({ id: String(n), data: RawJson.from(`{"n":${n},"exact":1.10}`) })

async function* pages(last: Page['next'] = null): AsyncGenerator<Page> {
  yield { records: [raw(0), raw(1)], next: { after: 1 }, watermark: 1 }
  yield { records: [], next: { after: 2 } }
  yield { records: [{ ...raw(2), timestamp: '2024-01-01T00:00:00Z', destinationId: 'else' }], next: last }
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = []
  for await (const item of items) found.push(item)
  return found
}

async function* bytes(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text)
}

const written = async (last?: Page['next']): Promise<string> =>
  Buffer.concat(await all(writeSinger(pages(last), about))).toString()
const shown = ({ records, ...rest }: PipedPage) => ({
  ...rest,
  records: records.map(({ data, ...record }) => ({ ...record, data: textOf(data) })),
})

test('what is written is read again: records as they were, and where to go on behind each page', async () => {
  const found = (await all(readSinger(bytes(await written())))).map(shown)
  expect(found).toMatchObject([
    {
      records: [{ id: '0', data: '{"n":0,"exact":1.10}' }, { id: '1' }],
      state: { bizon: { page: 1, rows: 2, position: { after: 1 }, watermark: 1 } },
      end: false,
    },
    { records: [], state: { bizon: { page: 2, rows: 2, position: { after: 2 } } }, end: false },
    {
      records: [{ id: '2', timestamp: '2024-01-01T00:00:00Z', destinationId: 'else' }],
      state: { bizon: { page: 3, rows: 3, end: true, position: null } },
      end: true,
    },
  ])
})

test('lines come page by page, as the pages do', async () => {
  let asked = 0
  async function* counted(): AsyncGenerator<Page> {
    for await (const page of pages()) {
      asked += 1
      yield page
    }
  }
  const lines = writeSinger(counted(), about)
  await lines.next()
  expect(asked).toBe(0)
  await lines.next()
  expect(asked).toBe(1)
  await lines.return()
})

test('without a last page there is no end, and whoever reads is told', async () => {
  const text = await written({ after: 3 })
  await expect(all(readSinger(bytes(text)))).rejects.toMatchObject({ code: 'incomplete' })
})

test('a line that was lost is told before its page is given', async () => {
  const lines = (await written()).split('\n')
  const found: PipedPage[] = []
  const reading = async (): Promise<void> => {
    for await (const page of readSinger(bytes(lines.toSpliced(3, 1).join('\n')))) found.push(page)
  }
  await expect(reading()).rejects.toThrow('so that 1 record is missing')
  expect(found).toEqual([])
})

test('a tap’s streams are told apart, with schema and key; its end is the end of the input', async () => {
  const tap = [
    { type: 'SCHEMA', stream: 'a', schema: { type: 'object', properties: {} }, key_properties: ['id'] },
    { type: 'RECORD', stream: 'a', record: { id: 1 } },
    { type: 'STATE', value: { a: 1 } },
  ]
  const found = await all(readSinger(bytes(tap.map((line) => `${JSON.stringify(line)}\n`).join(''))))
  expect(found).toMatchObject([
    { records: [{ id: '1' }], stream: { name: 'a', primaryKey: ['id'] }, state: { a: 1 }, end: false },
    { records: [], end: true },
  ])
})

test('a signal ends the reading with its reason, though nothing comes', async () => {
  const stop = new AbortController()
  async function* silent(): AsyncGenerator<Buffer> {
    yield Buffer.from(`${(await written()).split('\n')[0]}\n`)
    setTimeout(() => stop.abort(new Error('enough')), 10)
    await new Promise(() => {})
  }
  await expect(all(readSinger(silent(), { signal: stop.signal }))).rejects.toThrow('enough')
})

test('a script that goes on from what the loader said adds what has come since', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bizon-singer-'))
  try {
    const on = shelf()
    const config = await testConfig({
      folder,
      source: scriptedSource({ pages: [] }),
      destination: shelfDestination(on),
    })
    const said: string[] = []
    const loadMore = async (given: AsyncIterable<Page>, from?: string) => {
      const lines = writeSinger(given, { ...about, mode: 'incremental', ...(from && { from: JSON.parse(from) }) })
      const pipe = fromPipe(bytes(Buffer.concat(await all(lines)).toString()), config, {
        acknowledged: (value) => void said.push(value.toString()),
      })
      return pipeline(pipe, load(config))
    }
    async function* only(...records: Page['records']): AsyncGenerator<Page> {
      yield { records, next: null }
    }
    async function* cut(): AsyncGenerator<Page> {
      yield { records: [raw(1)], next: { after: 1 } }
    }
    await loadMore(only(raw(0)))
    await expect(loadMore(cut(), said.at(-1))).rejects.toThrow('ended without the end')
    const place = JSON.parse(said.at(-1) ?? '').bizon
    expect(place).toMatchObject({ page: 1, position: { after: 1 }, pipeline: 'test', stream: 'numbers' })
    await loadMore(only(raw(2)), said.at(-1))
    expect(on.published).toEqual([0, 1, 2])
    await expect(loadMore(only(raw(3)))).rejects.toThrow(
      'the pipe holds from the beginning, and the destination has run',
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('a pipe is the first stage of a pipeline', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bizon-singer-'))
  try {
    const on = shelf()
    const config = await testConfig({
      folder,
      source: scriptedSource({ pages: [] }),
      destination: shelfDestination(on),
    })
    const outcome = await pipeline(fromPipe(bytes(await written()), config), load(config))
    expect(outcome).toMatchObject({ status: 'complete', rows: 3 })
    expect(on.published).toEqual([0, 1, 2])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
