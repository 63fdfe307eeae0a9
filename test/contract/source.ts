// What every source must do, whatever it reads. A connector's test runs the suite in one line:
//   sourceContract('file: ndjson', async () => ({ open: () => …, ids: […], resumable: true, maxPageBytes: … }))

import { readdirSync } from 'node:fs'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BizonError } from '../../lib/errors.ts'
import { sizeOf, textOf } from '../../lib/record.ts'
import type { Page, Position, Source, Start } from '../../lib/source.ts'

export interface SourceUnderTest {
  /** A fresh source over the same data. */
  open(): Source
  /** Ids of all records, in order. */
  readonly ids: readonly string[]
  /** Whether a position is good in a fresh instance. */
  readonly resumable: boolean
  /** No page may hold more bytes of payload. */
  readonly maxPageBytes: number
  /** A source that cannot work: its check must reject. */
  openBroken?(): Source
  /** Removes what `make` set up. */
  dispose?(): Promise<void>
}

const never = new AbortController().signal

export function sourceContract(name: string, make: () => Promise<SourceUnderTest>): void {
  describe(`source contract: ${name}`, () => {
    let test: SourceUnderTest
    let descriptors: number

    beforeEach(async () => {
      test = await make()
      descriptors = openDescriptors()
    })
    afterEach(async () => {
      expect(await settledDescriptors(descriptors), 'files left open').toBeLessThanOrEqual(descriptors)
      await test.dispose?.()
    })

    it('gives every record once and in order', async () => {
      expect(idsOf(await readAll(test.open(), {}))).toEqual(test.ids)
    })

    it('says that it is exhausted on the last page and nowhere else', async () => {
      const pages = await readAll(test.open(), {})
      expect(pages.length).toBeGreaterThan(0)
      expect(pages.map((page) => page.next === null)).toEqual(pages.map((_, index) => index === pages.length - 1))
    })

    it('keeps its pages bounded', async () => {
      for (const page of await readAll(test.open(), {})) {
        const bytes = page.records.reduce((sum, { data }) => sum + sizeOf(data), 0)
        expect(bytes).toBeLessThanOrEqual(test.maxPageBytes)
        if (page.bytes !== undefined) expect(page.bytes).toBe(bytes)
      }
    })

    it('leaves alone what was not released, and gives the same when pages are', async () => {
      const expected = (await readAll(test.open(), {})).map(textsOf)
      const source = test.open()
      const found: string[][] = []
      const kept = new Map<number, Page>()
      for await (const page of source.read({}, never)) {
        found.push(textsOf(page))
        if (found.length % 3 === 0) kept.set(found.length - 1, page)
        else page.release?.()
      }
      await source.close?.()
      expect(found).toEqual(expected)
      for (const [index, page] of kept) expect(textsOf(page)).toEqual(expected[index])
    })

    it('makes positions and watermarks that survive JSON', async () => {
      for (const { next, watermark } of await readAll(test.open(), {})) {
        expect(roundTrip(next)).toEqual(next)
        if (watermark !== undefined) expect(roundTrip(watermark)).toEqual(watermark)
      }
    })

    it('resumes from every position in a fresh instance with exactly the rest', async () => {
      if (!test.resumable) return
      const pages = await readAll(test.open(), {})
      let seen = 0
      for (const page of pages) {
        seen += page.records.length
        if (page.next === null) break
        const position = roundTrip(page.next) as Position
        const rest = await readAll(test.open(), { position })
        expect(idsOf(rest)).toEqual(test.ids.slice(seen))
        // The same pages too: a loader that holds some of them passes over those that end where it stands.
        const after = pages.slice(pages.indexOf(page) + 1)
        expect(rest.map(({ next }) => roundTrip(next))).toEqual(after.map(({ next }) => roundTrip(next)))
      }
    })

    it('stops when the signal aborts, wherever it waits', async () => {
      const { length } = await readAll(test.open(), {})
      for (let after = 0; after <= Math.min(length, 6); after++) {
        for (let turns = 0; turns < 4; turns++) await abortDuring(test, after, turns)
      }
    })

    it('gives nothing when the signal was aborted before', async () => {
      const pages = await readAll(test.open(), {}, AbortSignal.abort())
      expect(pages.flatMap((page) => page.records)).toEqual([])
      expect(pages.every((page) => page.next !== null)).toBe(true)
    })

    it('releases what it holds when the reader leaves', async () => {
      const source = test.open()
      for await (const _ of source.read({}, never)) break
      await source.close?.()
    })

    it('passes its own check, closes twice and without having been read', async () => {
      const source = test.open()
      await source.check?.(never)
      await source.close?.()
      await source.close?.()
    })

    it('fails the check of a source that cannot work with a reason, and closes after it', async () => {
      if (test.openBroken === undefined) return
      const source = test.openBroken()
      await expect(source.check?.(never)).rejects.toBeInstanceOf(BizonError)
      await source.close?.()
      await source.close?.()
    })
  })
}

/** Aborts so many turns of the event loop after the page after `pages` was asked for. */
async function abortDuring(test: SourceUnderTest, pages: number, turns: number): Promise<void> {
  const source = test.open()
  const controller = new AbortController()
  const reading = source.read({}, controller.signal)
  const seen: Page[] = []
  try {
    for (let index = 0; index < pages; index++) {
      const { done, value } = await reading.next()
      if (done) return
      seen.push(value)
    }
    const asked = reading.next()
    for (let turn = 0; turn < turns; turn++) await setImmediate()
    controller.abort(new BizonError('interrupted', 'stopped by the test'))
    // A page that was under way may still come, and then nothing more.
    const settled = await asked.catch(() => ({ done: true as const, value: undefined }))
    if (!settled.done) seen.push(settled.value)
    const after = await reading.next().catch(() => ({ done: true }))
    if (settled.done || settled.value.next === null) expect(after.done).toBe(true)
    expect(idsOf(seen)).toEqual(test.ids.slice(0, idsOf(seen).length))
  } finally {
    await reading.return()
    await source.close?.()
  }
}

async function readAll(source: Source, from: Start, signal: AbortSignal = never): Promise<Page[]> {
  const pages: Page[] = []
  try {
    for await (const page of source.read(from, signal)) {
      expect(page).toBeTypeOf('object')
      expect(page).not.toBeNull()
      pages.push(page)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    await source.close?.()
  }
  return pages
}

function idsOf(pages: readonly Page[]): string[] {
  return pages.flatMap((page) => page.records.map((record) => record.id))
}

function textsOf(page: Page): string[] {
  return page.records.map(({ data }) => textOf(data))
}

function roundTrip(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

function openDescriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
}

/** Streams give their files back some time after they were destroyed. */
async function settledDescriptors(expected: number): Promise<number> {
  for (let turn = 0; turn < 3000 && openDescriptors() > expected; turn++) await setTimeout(10)
  return openDescriptors()
}
