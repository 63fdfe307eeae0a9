// The promise: over any data that comes in between runs and while they read, nothing is skipped and nothing doubled.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareCursors, cursorOf } from '../../lib/cursor.ts'
import { Increment, type IncrementOptions, MOST_IDS } from '../../lib/increment.ts'
import type { Json, JsonObject } from '../../lib/record.ts'

const options: IncrementOptions = { field: 'at', format: 'as_is', lookback: 0 }
const time = new Date('2024-01-01T00:00:00Z')
const roundTrip = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T
const watermarkOf = (value: Json | undefined) => ({ time, ...(value !== undefined && { value: roundTrip(value) }) })

describe('where a read begins', () => {
  test.each<[string, Partial<IncrementOptions>, Parameters<typeof watermarkOf>[0], string | undefined]>([
    ['with everything, when nothing is known', {}, undefined, '2024-01-01T00:00:00.000Z'],
    ['at the start value', { startValue: '5' }, undefined, '5'],
    ['at the watermark', { startValue: '5' }, { field: 'at', value: '7', ids: [] }, '7'],
    ['never before the start value', { startValue: '5', lookback: 10 }, { field: 'at', value: '7', ids: [] }, '5'],
    [
      'a lookback earlier',
      { lookback: 60 },
      { field: 'at', value: '2024-05-01T10:00:00Z', ids: [] },
      '2024-05-01T09:59:00Z',
    ],
    [
      'as the request writes it',
      { format: 'epoch_seconds' },
      { field: 'at', value: '2024-05-01T10:00:00Z', ids: [] },
      '1714557600',
    ],
    ['at the time of the last run, in seconds', { format: 'epoch_seconds' }, undefined, '1704067200'],
  ])('%s', (_title, given, value, expected) => {
    expect(new Increment({ ...options, ...given }, watermarkOf(value)).since).toBe(expected)
  })

  test('a first read begins with everything', () => {
    expect(new Increment(options, undefined).since).toBeUndefined()
  })

  test('the upper bound is the time at which the read began, also after a resume', () => {
    const first = new Increment(options, undefined, undefined, time)
    const second = new Increment(options, undefined, roundTrip(first.state), new Date())
    expect([first.until, second.until]).toEqual([time.toISOString(), time.toISOString()])
  })
})

describe('the watermark', () => {
  test('is the greatest value seen, by what it is and not by its text', () => {
    const read = new Increment(options, undefined)
    for (const [id, value] of [
      ['a', '9'],
      ['b', '10'],
      ['c', '10.0'],
    ])
      read.take(id as string, value)
    expect(read.watermark).toEqual({ field: 'at', value: '10', ids: ['b', ['c', '10.0']] })
  })

  test('is that of the run before when nothing new came, with its ids', () => {
    const before = { field: 'at', value: '3', ids: ['a'] }
    const read = new Increment(options, watermarkOf(before))
    expect(read.take('a', '3')).toBe(false)
    expect(read.take('b', '3.0')).toBe(true)
    expect(read.watermark).toEqual({ field: 'at', value: '3', ids: ['a', ['b', '3.0']] })
    expect(read.dropped).toBe(1)
  })

  test('is nothing when no record had a value, and those are counted', () => {
    const read = new Increment(options, undefined)
    expect([read.take('a', undefined), read.take('b', undefined)]).toEqual([true, true])
    expect(read.watermark).toBeUndefined()
    expect(new Increment(options, undefined, roundTrip(read.state)).missing).toBe(2)
  })

  test('gives a record again whose value has changed', () => {
    const read = new Increment(options, watermarkOf({ field: 'at', value: '3', ids: ['a'] }))
    expect(read.take('a', '4')).toBe(true)
  })

  test('keeps a bounded number of ids, says how many it had to forget, and skips none', () => {
    const read = new Increment(options, undefined)
    for (let n = 0; n < MOST_IDS + 5; n++) expect(read.take(`id-${n}-${'x'.repeat(100)}`, '7')).toBe(true)
    expect(read.forgotten).toBe(5)
    const text = JSON.stringify(read.watermark)
    expect(text.length).toBeLessThan(MOST_IDS * 30)
    const next = new Increment(options, watermarkOf(read.watermark as Json))
    expect(next.take(`id-0-${'x'.repeat(100)}`, '7')).toBe(false)
    expect(next.take(`id-${MOST_IDS}-${'x'.repeat(100)}`, '7')).toBe(true)
  })

  test('does not pass the beginning of the read', () => {
    const began = new Date('2024-05-01T12:00:00Z')
    const read = new Increment(options, undefined, undefined, began)
    for (const [id, value] of [
      ['a', '2024-05-01T11:00:00Z'],
      ['c', '2024-05-01T12:00:07Z'],
      ['b', '2024-05-01T10:00:00Z'],
    ])
      read.take(id as string, value)
    expect(read.watermark).toEqual({
      field: 'at',
      value: '2024-05-01T12:00:00.000Z',
      ids: [['c', '2024-05-01T12:00:07Z']],
    })
  })
})

interface Row {
  readonly id: string
  readonly value: string
}

/** An API that filters, sorts and gives pages after a key; its data may change before each page. */
interface Api {
  rows(): readonly Row[]
  readonly byId: boolean
  readonly bounded: boolean
  readonly page: number
  before(page: number): void
  now(): Date
}

/** One run; now and then the process dies after a page and another goes on. */
function run(api: Api, since: Json | undefined, dies: (page: number) => boolean): { loaded: Row[]; watermark?: Json } {
  let read = new Increment(options, since === undefined ? undefined : watermarkOf(since), undefined, api.now())
  let last: Row | undefined
  const loaded: Row[] = []
  for (let n = 0; ; n++) {
    api.before(n)
    const [from, until] = [read.since, read.until]
    const wanted = api
      .rows()
      .filter(({ value }) => from === undefined || compare(value, from) >= 0)
      .filter(({ value }) => !api.bounded || compare(value, until) <= 0)
      .filter((row) => last === undefined || order(row, last, api.byId) > 0)
    const page = wanted.slice(0, api.page)
    loaded.push(...page.filter(({ id, value }) => read.take(id, value)))
    if (page.length < api.page) {
      const { watermark } = read
      return { loaded, ...(watermark !== undefined && { watermark: roundTrip(watermark) }) }
    }
    last = page.at(-1)
    if (dies(n)) read = new Increment(options, undefined, roundTrip(read.state as JsonObject), api.now())
  }
}

const compare = (one: string, other: string): number => compareCursors(cursorOf(one), cursorOf(other))
const order = (one: Row, other: Row, byId: boolean): number =>
  (byId ? 0 : compare(one.value, other.value)) || (one.id < other.id ? -1 : one.id > other.id ? 1 : 0)

const RUNS = 7
const kills = fc.array(fc.boolean(), { maxLength: 35 })
const pageSize = fc.integer({ min: 1, max: 4 })

describe('nothing is skipped and nothing doubled', () => {
  test('of plain numbers, many of them equal, over page ends and kills', () => {
    const arrivals = fc.array(fc.record({ run: fc.nat(5), page: fc.nat(3), step: fc.nat(2) }), { maxLength: 40 })
    fc.assert(
      fc.property(arrivals, pageSize, kills, (all, page, killed) => {
        const rows: Row[] = []
        const loaded: string[] = []
        let since: Json | undefined
        let value = 0
        for (let round = 0; round < RUNS; round++) {
          const before = (n: number): void => {
            for (const { step } of all.filter((one) => one.run === round && one.page === n)) {
              value += step
              const number = rows.length
              // Between runs anywhere among its equals, during one at the end.
              const id = n === 0 ? `a${(number * 7) % 11}-${number}` : `b${String(number).padStart(3, '0')}`
              rows.push({ id, value: String(value) })
            }
            rows.sort((one, other) => order(one, other, false))
          }
          const api: Api = { rows: () => rows, byId: false, bounded: false, page, before, now: () => time }
          const result = run(api, since, (n) => killed[round * 5 + n] === true)
          loaded.push(...result.loaded.map(({ id }) => id))
          since = result.watermark ?? since
        }
        expect(new Set(loaded).size).toBe(loaded.length)
        expect([...loaded].sort()).toEqual(rows.map(({ id }) => id).sort())
      }),
      { numRuns: 300 },
    )
  })

  test.each([
    ['sorted by id', true, false],
    ['sorted by id, with an upper bound', true, true],
    ['sorted by time', false, false],
    ['sorted by time, with an upper bound', false, true],
  ])('of times in whole seconds, with changes on pages that were read already: %s', (_title, byId, bounded) => {
    const changes = fc.array(fc.record({ run: fc.nat(4), page: fc.nat(4), row: fc.nat(12) }), { maxLength: 40 })
    fc.assert(
      fc.property(changes, pageSize, kills, (all, page, killed) => {
        const rows = new Map<string, Row>()
        const loaded: string[] = []
        let since: Json | undefined
        let clock = Date.parse('2024-05-01T00:00:00Z')
        for (let round = 0; round < RUNS; round++) {
          const before = (n: number): void => {
            for (const { row } of all.filter((one) => one.run === round && one.page === n)) {
              clock += 1 + (row % 3) * 500
              const id = String(row).padStart(2, '0')
              const value = `${new Date(clock).toISOString().slice(0, 19)}Z`
              // A change within the second cannot be told from none, so it is not one.
              rows.set(id, { id, value })
            }
          }
          const list = (): Row[] => [...rows.values()].sort((one, other) => order(one, other, byId))
          clock += round === RUNS - 1 ? 2000 : 1 // the last run is given all, also of this second
          const api: Api = { rows: list, byId, bounded, page, before, now: () => new Date(clock) }
          const result = run(api, since, (n) => killed[round * 5 + n] === true)
          loaded.push(...result.loaded.map(({ id, value }) => `${id} ${value}`))
          since = result.watermark ?? since
        }
        expect(new Set(loaded).size).toBe(loaded.length)
        const left = [...rows.values()].map(({ id, value }) => `${id} ${value}`)
        expect(left.filter((version) => !loaded.includes(version))).toEqual([])
      }),
      { numRuns: 300 },
    )
  })
})
