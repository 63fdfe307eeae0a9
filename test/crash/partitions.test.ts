// A stream in partitions of a real topic, loaded by several processes into one table of PostgreSQL: killed at fault points.
// psql looks.

import { describe, expect, test } from 'vitest'
import { rowsOf, Shared } from './partitions.ts'
import { fewOf } from './workspace.ts'

async function within(mode: string, rows: number, work: (shared: Shared) => Promise<void>): Promise<void> {
  const shared = await Shared.create(mode, rows)
  try {
    await work(shared)
  } finally {
    await shared.remove()
  }
}

/** What each of three loaders dies at. */
const DEATHS = [
  ['stage.after@2', 'publish.mid', 'commit.mid@3'],
  ['publish.before', 'publish.before', 'publish.before'],
  ['publish.after', 'status.before', 'cursor.before@2'],
  ['commit.after@2', 'end.received', 'ack.before'],
] as const

describe('a full refresh in three partitions', () => {
  test.each(fewOf(DEATHS, 1))('is published once, whole, after loaders died at %s, %s and %s', async (...points) => {
    await within('full_refresh', 600, async (shared) => {
      expect(await shared.extract({ failpoint: 'put.after@4:kill' })).toMatchObject({ signal: 'SIGKILL' })
      expect(await shared.extract()).toMatchObject({ code: 0 })
      const dead = await Promise.all(points.map((point) => shared.load({ failpoint: `${point}:kill` })))
      expect(dead.some(({ signal }) => signal === 'SIGKILL')).toBe(true)
      // Those that the dead ones have published already, or were the last to.
      if (dead.every(({ code }) => code !== 0)) {
        const ended = await shared.finish()
        expect(ended.map(({ code, stderr }) => [code, stderr])).toEqual([
          [0, ''],
          [0, ''],
        ])
      }
      expect(await shared.content()).toBe(rowsOf(600))
    })
  })
})
