import { afterEach, describe, expect, test, vi } from 'vitest'
import { createProgress, duration, size, summary, Tally } from '../../bin/progress.ts'
import type { Checkpoint } from '../../lib/checkpoint.ts'
import type { Outcome } from '../../lib/events.ts'
import { silentLog } from '../../lib/log.ts'

const at = (rows: number): Checkpoint => ({ run: 'r', page: 1, rows, position: null, end: false })

describe('the line of a run that works', () => {
  test('tells records, rate, bytes and that nothing is durable yet', () => {
    const tally = new Tally(0)
    tally.add({ type: 'start', job: 'r', reasons: [] }, 1000)
    tally.add({ type: 'page', rows: 1500, bytes: 2_500_000 }, 2000)
    expect(tally.line(3000)).toBe('1,500 records, 750/s, 2.5 MB, no checkpoint yet')
  })

  test('tells the age of the last checkpoint', () => {
    const tally = new Tally(0)
    tally.add({ type: 'page', rows: 1, bytes: 10 }, 500)
    tally.add({ type: 'checkpoint', checkpoint: at(1) }, 1000)
    expect(tally.line(91_000)).toBe('1 record, 0/s, 10 B, last checkpoint 1 min 30 s ago')
  })

  test('counts what an earlier run has loaded, but not into the rate, and says how long the rest takes', () => {
    const tally = new Tally(0)
    tally.add({ type: 'start', job: 'r', reasons: [], from: at(600), total: 1000 }, 0)
    tally.add({ type: 'page', rows: 100, bytes: 1000 }, 5000)
    expect(tally.line(10_000)).toBe('700 of 1,000 records, 10/s, 1.0 kB, no checkpoint yet, about 30 s left')
  })

  test('keeps to the clock and the counts of this process when partitions come, go and come back', () => {
    const tally = new Tally(0)
    tally.add({ type: 'start', job: 'r1', reasons: [], from: at(600) }, 0)
    tally.add({ type: 'start', job: 'r2', reasons: [], from: at(200) }, 0)
    tally.add({ type: 'page', rows: 100, bytes: 1000 }, 5000)
    tally.add({ type: 'start', job: 'r1', reasons: [], from: at(650) }, 9000)
    tally.add({ type: 'start', job: 'r2', reasons: [], from: at(250) }, 9000)
    expect(tally.line(10_000)).toBe('900 records, 10/s, 1.0 kB, no checkpoint yet')
  })

  test('promises no end once there is more than the source counted', () => {
    const tally = new Tally(0)
    tally.add({ type: 'start', job: 'r', reasons: [], total: 10 }, 0)
    tally.add({ type: 'page', rows: 20, bytes: 1000 }, 5000)
    expect(tally.line(10_000)).toBe('20 of 10 records, 2/s, 1.0 kB, no checkpoint yet')
  })

  test('has no rate before any time has passed', () => {
    expect(new Tally(5).line(5)).toBe('0 records, 0/s, 0 B, no checkpoint yet')
  })
})

describe('where nobody watches', () => {
  afterEach(() => void vi.useRealTimers())

  test('a line is logged every ten seconds, until the run has ended', () => {
    vi.useFakeTimers()
    const lines: string[] = []
    const log = { ...silentLog, info: (line: string) => void lines.push(line) }
    const progress = createProgress({ terminal: { live: false, redraw: () => {} }, log, now: () => Date.now() })
    progress.observe({ type: 'page', rows: 20, bytes: 500 })
    vi.advanceTimersByTime(9_999)
    expect(lines).toEqual([])
    vi.advanceTimersByTime(10_001)
    expect(lines).toEqual(['20 records, 2/s, 500 B, no checkpoint yet', '20 records, 1/s, 500 B, no checkpoint yet'])
    progress.close()
    vi.advanceTimersByTime(60_000)
    expect(lines).toHaveLength(2)
  })
})

const outcome: Outcome = {
  status: 'complete',
  job: 'r',
  rows: 1461,
  bytes: 52_000,
  totalRows: 1461,
  pages: 3,
  checkpoints: 1,
  seconds: 0.5,
  outputs: ['output/weather.json'],
}

describe('the summary of a run', () => {
  test('says what was loaded and where it is', () => {
    expect(summary(outcome)).toEqual([
      'Loaded 1,461 records (52 kB) in 0.5 s, 2,922 records/s, 1 checkpoint.',
      'Output: output/weather.json',
    ])
  })

  test('says where it went on', () => {
    expect(summary({ ...outcome, resumedFrom: at(1000), totalRows: 2461, outputs: [] })[1]).toBe(
      'Went on after record 1,000, where an earlier run stopped: 2,461 records in all.',
    )
  })
})

test.for([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [9_940, '9.9 kB'],
  [10_000, '10 kB'],
  [999_400, '999 kB'],
  [999_600, '1.0 MB'],
  [2_550_000_000, '2.5 GB'],
] as const)('%i bytes read as %s', ([bytes, text]) => {
  expect(size(bytes)).toBe(text)
})

test.for([
  [0, '0.0 s'],
  [9.94, '9.9 s'],
  [9.96, '10 s'],
  [59.4, '59 s'],
  [59.6, '1 min 0 s'],
  [3599.4, '59 min 59 s'],
  [3600, '1 h 0 min'],
  [9000, '2 h 30 min'],
] as const)('%d seconds read as %s', ([seconds, text]) => {
  expect(duration(seconds)).toBe(text)
})
