// The public contract of sources: one that keeps it, and one twin for each way to break it.

import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import dummy from '../../../connectors/sources/dummy.ts'
import { defineSource, type Page, type SourceDefinition, type Start, type StreamInfo } from '../../../lib/source.ts'
import { verifySource } from '../../../lib/verify/source.ts'

type Pages = (from: Start) => Iterable<unknown>

/** Ten letters, two a page, by an offset; newer than a letter when incremental. */
const LETTERS = [...'abcdefghij']
function* letters({ position, since }: Start): Iterable<Page> {
  const newer = LETTERS.filter((letter) => letter > String(position?.since ?? since?.value ?? ''))
  for (let offset = Number(position?.offset ?? 0); ; offset += 2) {
    const last = offset + 2 >= newer.length
    yield {
      records: newer.slice(offset, offset + 2).map((id) => ({ id, data: { letter: id } })),
      next: last ? null : { offset: offset + 2, since: String(position?.since ?? since?.value ?? '') },
      watermark: 'j',
    }
    if (last) return
  }
}

const STREAM: StreamInfo = { name: 'letters', primaryKey: ['letter'], resumable: true, incremental: true }

function twin(pages: Pages, stream: Partial<StreamInfo> = {}, check?: () => Promise<void>): SourceDefinition {
  return defineSource({
    summary: 'Letters.',
    config: z.strictObject({ size: z.number().default(2) }),
    streams: () => [{ ...STREAM, ...stream }],
    create: () => ({
      async *read(from) {
        for (const page of pages(from)) yield page as Page
      },
      ...(check && { check }),
    }),
  })
}

const use = { stream: 'letters' }

describe('a source that keeps its contract', () => {
  test('gives back what was read', async () => {
    const { ids, pages } = await verifySource(twin(letters), use)
    expect(ids).toEqual(LETTERS)
    expect(pages).toHaveLength(5)
  })

  test('can be read from a watermark on', async () => {
    expect((await verifySource(twin(letters), { ...use, since: 'g' })).ids).toEqual(['h', 'i', 'j'])
  })

  test('is the built-in one', async () => {
    expect((await verifySource(dummy, { stream: 'creatures' })).ids).toEqual(['9898', '88787', '98', '3333', '56565'])
    const { ids } = await verifySource(dummy, { stream: 'generator', config: { records: 25, page_size: 10 } })
    expect(ids).toHaveLength(25)
  })

  test('need not resume when it does not say that it can', async () => {
    const forgetful = twin(() => letters({}), { resumable: false, incremental: false })
    expect((await verifySource(forgetful, use)).ids).toEqual(LETTERS)
  })
})

const pagesOf = (from: Start): Page[] => [...letters(from)]

describe('a source that breaks its contract', () => {
  test.each<[string, SourceDefinition, string]>([
    [
      'starts over instead of resuming',
      twin(() => letters({})),
      'resumed after page 1, record 1 is "a" {"letter":"a"}',
    ],
    [
      'skips a record when it resumes',
      twin((from) => letters(from.position ? { position: { ...from.position, offset: 3 } } : from)),
      'resumed after page 1, record 1 is "d" {"letter":"d"}; read in one go it was "c" {"letter":"c"}',
    ],
    [
      'ends early when it resumes',
      twin((from) => (from.position ? [{ records: [], next: null }] : letters(from))),
      'resumed after page 1, record 1 is nothing',
    ],
    [
      'reads everything again',
      twin(({ position }) => letters(position ? { position } : {})),
      'gave all 10 records again',
    ],
    ['just stops', twin((from) => pagesOf(from).slice(0, 2)), 'it stopped without a page that has `next: null`'],
    ['gives nothing at all', twin(() => []), 'it stopped without a page that has `next: null`'],
    [
      'goes on behind its end',
      twin((from) => [...letters(from), { records: [], next: null }]),
      'a page after the last',
    ],
    [
      'gives one record twice',
      twin((from) =>
        pagesOf(from).map((page, index) => (index === 1 ? { ...page, records: pagesOf({})[0]?.records } : page)),
      ),
      'gave two records of the id "a"',
    ],
    [
      'gives a number as id',
      twin(() => [{ records: [{ id: 1, data: {} }], next: null }]),
      'page 1, record 1 has a number',
    ],
    [
      'sends a record elsewhere when it resumes',
      twin((from) =>
        pagesOf(from).map((page) => ({
          ...page,
          records: page.records.map((record) => ({ ...record, destinationId: from.position ? 'there' : 'here' })),
        })),
      ),
      'record 1 is "c" {"letter":"c"} {"destinationId":"there"}; read in one go it was "c" {"letter":"c"} {"destinationId":"here"}',
    ],
    [
      'has a watermark that JSON cannot hold',
      twin((from) => pagesOf(from).map((page) => ({ ...page, watermark: new Date() as never }))),
      'page 1: its watermark cannot be kept as JSON: it is a Date',
    ],
    ['never ends', twin(() => endless()), 'it had no end after 1000 pages'],
    ['has no such stream', twin(letters, { name: 'other' }), 'it does not declare the stream "letters"'],
    ['cannot connect', twin(letters, {}, () => Promise.reject(new Error('refused'))), 'refused'],
    ['is nothing', {} as SourceDefinition, 'its default export has no member "summary"'],
  ])('%s', async (_title, definition, message) => {
    await expect(verifySource(definition, use)).rejects.toThrow(message)
  })

  test('by keys that are not its own', async () => {
    await expect(verifySource(twin(letters), { ...use, config: { size: 'x' } })).rejects.toMatchObject({
      code: 'config',
    })
  })
})

function* endless(): Iterable<Page> {
  for (let page = 1; ; page++) yield { records: [], next: { page } }
}
