// The five records are those of the Python bizon: much is tested against them there and here.

import { describe, expect, it } from 'vitest'
import dummy from '../../../connectors/sources/dummy.ts'
import { objectOf, textOf } from '../../../lib/record.ts'
import type { Page, Start, SyncMode } from '../../../lib/source.ts'
import { sourceContext } from '../../support/source-context.ts'

function make(stream: string, keys: { [key: string]: unknown } = {}, mode: SyncMode = 'full_refresh') {
  return dummy.create(dummy.config.parse(keys), sourceContext({ stream, mode }))
}

async function read(source: ReturnType<typeof make>, from: Start = {}): Promise<Page[]> {
  const pages: Page[] = []
  for await (const page of source.read(from, new AbortController().signal)) pages.push(page)
  return pages
}

const rows = (pages: Page[]) => pages.map(({ records }) => records.map(({ data }) => Object.values(objectOf(data))))

describe('the creatures and plants', () => {
  it('are five, in three pages, with the positions of the Python bizon', async () => {
    const pages = await read(make('creatures'))
    expect(rows(pages)).toEqual([
      [
        [9898, 'bizon', 26],
        [88787, 'croco', 23],
      ],
      [
        [98, 'froggy', 26],
        [3333, 'turtle', 23],
      ],
      [[56565, 'poulpo', 26]],
    ])
    expect(pages.map(({ next }) => next)).toEqual([
      { cursor: 'vfvfvuhfefpeiduzhihxb' },
      { cursor: 'final-cursor' },
      null,
    ])
    expect(pages[0]?.records.map(({ id }) => id)).toEqual(['9898', '88787'])
    expect((await make('creatures').count?.(new AbortController().signal)) ?? 0).toBe(5)
  })

  it.each([
    ['vfvfvuhfefpeiduzhihxb', ['cactus', 'bamboo', 'rose']],
    ['final-cursor', ['rose']],
    ['anything', ['cactus', 'bamboo', 'rose']],
  ])('go on after cursor %s', async (cursor, names) => {
    const pages = await read(make('plants'), { position: { cursor } })
    expect(
      rows(pages)
        .flat()
        .map((row) => row[1]),
    ).toEqual(names)
  })

  it('are routed in stream mode: the second page elsewhere', async () => {
    const pages = await read(make('creatures', {}, 'stream'))
    const ids = pages.flatMap(({ records }) => records.map(({ destinationId }) => destinationId))
    expect(ids).toEqual(['creatures', 'creatures', 'routed', 'routed', 'creatures'])
    expect((await read(make('creatures'))).flatMap(({ records }) => records.map((r) => r.destinationId))).toEqual(
      Array(5).fill(undefined),
    )
  })
})

describe('the generator', () => {
  const keys = { records: 25, page_size: 10, record_bytes: 200 }

  it('gives the same records for the same seed, of the size that was asked for', async () => {
    const texts = (pages: Page[]) => pages.flatMap(({ records }) => records.map(({ data }) => textOf(data)))
    const once = texts(await read(make('generator', keys)))
    expect(once).toHaveLength(25)
    expect(once.every((text) => Buffer.byteLength(text) === 200 && JSON.parse(text))).toBe(true)
    expect(texts(await read(make('generator', keys)))).toEqual(once)
    expect(texts(await read(make('generator', { ...keys, seed: 2 })))).not.toEqual(once)
  })

  it('gives an incremental run what was added since', async () => {
    const first = await read(make('generator', keys))
    const since = { time: new Date(), value: first.at(-1)?.watermark ?? null }
    const more = await read(make('generator', { ...keys, records: 28 }), { since })
    expect(more.flatMap(({ records }) => records.map(({ id }) => id))).toEqual(['25', '26', '27'])
    expect(await read(make('generator', keys), { since })).toMatchObject([{ records: [], next: null }])
  })

  it('ends an empty extract with an empty last page', async () => {
    expect(await read(make('generator', { records: 0 }))).toMatchObject([{ records: [], next: null }])
  })

  it('sleeps at most as long as a timer can wait: more would be no sleep at all', () => {
    expect(dummy.config.safeParse({ sleep: 2_147_483 }).success).toBe(true)
    expect(dummy.config.safeParse({ sleep: 2_147_484 }).success).toBe(false)
  })

  it('fails at the page that was asked for', async () => {
    await expect(read(make('generator', { ...keys, fail_at_page: 2 }))).rejects.toMatchObject({ code: 'source' })
  })
})
