// Extract, Kafka, three loaders, PostgreSQL: each of them killed at moments that nobody chose, loaders coming and going meanwhile.

import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import { randomOf } from '../../lib/chaos/points.ts'
import { exactly, type StormOptions, storm } from './storm.ts'
import { NIGHTLY, TEST_LIMIT_MS } from './workspace.ts'

const seed = Number(process.env.BIZON_SEED ?? randomInt(2 ** 31))
const limitSeconds = (TEST_LIMIT_MS / 1000) * 0.9

const byNight = { partitions: 6, kills: 2, ownsBroker: true, visitSeconds: 6, limitSeconds }
const byDay = { partitions: 3, kills: 1, ownsBroker: false, visitSeconds: 3, limitSeconds }
const cases: readonly Omit<StormOptions, 'random'>[] = NIGHTLY
  ? [
      { ...byNight, rows: 100_000 },
      { ...byNight, rows: 1_000_000 },
    ]
  : [{ ...byDay, rows: 16_000 }]

/** How a process may end that was not killed: it was stopped, was replaced, or found no broker, of which it may have warned. */
const GOOD = /^bizon-\w+\.js (?:(?:0|143|3)(?: |$)|1 (?:\{.*\}\n)*Error: Kafka at )/

test.each(cases)(
  `$rows rows come exactly, whoever is killed $kills times (BIZON_SEED=${seed})`,
  async (options) => {
    const { rows, kills: times, ownsBroker } = options
    const { content, kills, ends, seconds, visitors, peaks } = await storm({ ...options, random: randomOf(seed) })
    if (NIGHTLY) {
      const told = `${rows} rows in ${seconds.toFixed(1)} s, ${Math.round(rows / seconds)}/s`
      process.stdout.write(`seed ${seed}: ${told}, ${visitors} visitors, at most ${peaks.join(', ')} MiB in a loader\n`)
    }
    expect(content).toBe(exactly(rows))
    const all = { extract: times, loaders: [times, times, times], broker: ownsBroker ? times : 0 }
    // By day all may be loaded before the last of them has had its turn.
    expect(kills).toEqual(NIGHTLY ? all : { ...all, loaders: expect.arrayContaining([times]) })
    expect(ends.filter((end) => !GOOD.test(end))).toEqual([])
  },
  TEST_LIMIT_MS,
)
