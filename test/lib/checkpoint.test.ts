import { describe, expect, it, vi } from 'vitest'
import {
  bytesOf,
  type Checkpoint,
  type CheckpointOptions,
  checkpoints,
  type Item,
  isPage,
  payloadBytesOf,
  RECORD_BYTES,
} from '../../lib/checkpoint.ts'
import { RawJson } from '../../lib/record.ts'
import type { Page } from '../../lib/source.ts'

const START: Checkpoint = { run: 'r', page: 0, rows: 0, position: null, end: false }

function page(
  n: number,
  {
    rows = 1,
    bytes = 10,
    last = false,
    watermark,
  }: { rows?: number; bytes?: number; last?: boolean; watermark?: number } = {},
): Page {
  const records = Array.from({ length: rows }, (_, i) => ({ id: `${n}.${i}`, data: RawJson.from('{}') }))
  return { records, next: last ? null : { n }, bytes, ...(watermark !== undefined && { watermark }) }
}

/** What comes out of the stage: `p` for a page, else the checkpoint's page, rows and `end`. */
async function passed(options: CheckpointOptions, pages: Page[], from = START): Promise<string[]> {
  const out: string[] = []
  const push = (item: Item) => out.push(isPage(item) ? 'p' : `${item.page}/${item.rows}${item.end ? ' end' : ''}`)
  const stage = checkpoints(from, options)
  for (const each of pages) await stage.each(each, push)
  await stage.end?.(push)
  stage.close?.()
  return out
}

describe('the checkpoint stage', () => {
  it('puts a barrier after every so many pages, and one behind the last', async () => {
    const pages = [page(1), page(2), page(3), page(4), page(5, { last: true })]
    expect(await passed({ everyPages: 2 }, pages)).toEqual(['p', 'p', '2/2', 'p', 'p', '4/4', 'p', '5/5 end'])
  })

  it('gives the last page of the extract one barrier, the end, also where one was due', async () => {
    expect(await passed({ everyPages: 1 }, [page(1), page(2, { last: true })])).toEqual(['p', '1/1', 'p', '2/2 end'])
  })

  it('puts a barrier once enough bytes have passed; nothing allowed means after every page', async () => {
    const pages = [page(1, { bytes: 60 }), page(2, { bytes: 60 }), page(3, { bytes: 500 }), page(4, { last: true })]
    expect(await passed({ everyBytes: 100 }, pages)).toEqual(['p', 'p', '2/2', 'p', '3/3', 'p', '4/4 end'])
    expect(await passed({ everyBytes: 0 }, pages.slice(0, 2))).toEqual(['p', '1/1', 'p', '2/2'])
  })

  it('says no end for a read that was cut off', async () => {
    expect(await passed({}, [page(1), page(2)])).toEqual(['p', 'p', '2/2'])
    expect(await passed({}, [])).toEqual([])
  })

  it('counts on from where the run stands', async () => {
    const from = { run: 'r', page: 7, rows: 700, position: { n: 7 }, end: false }
    expect(await passed({}, [page(8, { rows: 3, last: true })], from)).toEqual(['p', '8/703 end'])
  })

  it('counts an empty page, so that an empty extract ends too', async () => {
    expect(await passed({}, [page(1, { rows: 0, last: true })])).toEqual(['p', '1/0 end'])
  })

  it('counts payloads, however many records they are in', async () => {
    const pages = [page(1, { rows: 1000, bytes: 60 }), page(2, { bytes: 30 }), page(3, { bytes: 10, last: true })]
    expect(await passed({ everyBytes: 90 }, pages)).toEqual(['p', 'p', '2/1001', 'p', '3/1002 end'])
  })

  it('says what was read, and with what it is loaded, of the page that it stands behind and of no page before', async () => {
    const seen: unknown[] = []
    const from = { ...START, page: 4, reading: 'before', settings: 'these' }
    const stage = checkpoints(from, { everyPages: 1 })
    const push = (item: Item) => isPage(item) || seen.push([item.page, item.reading, item.settings])
    for (const each of [{ ...page(5), reading: 'first' }, page(6), { ...page(7), reading: 'third' }])
      await stage.each(each, push)
    expect(seen).toEqual([
      [5, 'first', 'these'],
      [6, undefined, 'these'],
      [7, 'third', 'these'],
    ])
  })

  it('carries the newest watermark, also over pages that have none', async () => {
    const seen: unknown[] = []
    const stage = checkpoints(START, {})
    const push = (item: Item) => isPage(item) || seen.push(item.watermark)
    await stage.each(page(1, { watermark: 10 }), push)
    await stage.each(page(2, { watermark: 20 }), push)
    await stage.each(page(3), push)
    await stage.end?.(push)
    expect(seen).toEqual([20])
  })

  it('flushes what is too old by a timer, although the source is silent', async () => {
    vi.useFakeTimers()
    try {
      const out: string[] = []
      const push = (item: Item) => out.push(isPage(item) ? 'p' : `${item.page}`)
      const stage = checkpoints(START, { everySeconds: 600 })
      await stage.each(page(1), push)
      vi.advanceTimersByTime(599_000)
      await stage.each(page(2), push)
      expect(out).toEqual(['p', 'p'])
      vi.advanceTimersByTime(1_000) // the age of the oldest counts, not that of the newest
      expect(out).toEqual(['p', 'p', '2'])
      vi.advanceTimersByTime(6_000_000) // nothing is waiting, so nothing more comes
      expect(out).toEqual(['p', 'p', '2'])
      await stage.each(page(3), push)
      stage.close?.()
      vi.advanceTimersByTime(6_000_000)
      expect(out).toEqual(['p', 'p', '2', 'p'])
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('the weight of an item', () => {
  it('of a page is that of its payloads and of its records, so that a million empty ones are not nothing', () => {
    const { bytes, ...measured } = page(1, { rows: 3 })
    expect(bytes).toBe(10)
    expect(payloadBytesOf(measured)).toBe(6)
    expect(bytesOf(measured)).toBe(6 + 3 * RECORD_BYTES)
    expect(bytesOf({ ...measured, bytes: 10 })).toBe(10 + 3 * RECORD_BYTES)
    expect(bytesOf(START)).toBe(1)
  })
})
