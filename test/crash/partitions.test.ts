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

test('a loader that was edited is refused each time, though the one before it died before the state store heard of a page', async () => {
  await within('full_refresh', 200, async (shared) => {
    await shared.extract()
    expect(await shared.load({ failpoint: 'cursor.before:kill' })).toMatchObject({ signal: 'SIGKILL' })
    expect(await shared.query('SELECT count(*) FROM destination_cursors')).toBe('0')
    const before = String(await shared.place.read('pipeline.yml'))
    await shared.place.write({ 'pipeline.yml': before.replace('buffer_size', 'on_nul: strip, buffer_size') })
    for (let again = 0; again < 2; again++) {
      const { code, stderr } = await shared.load()
      expect([code, stderr]).toEqual([2, expect.stringMatching(/were edited while a run was being loaded/)])
    }
    await shared.place.write({ 'pipeline.yml': before })
    expect(await shared.load()).toMatchObject({ code: 0, stderr: '' })
    expect(await shared.content()).toBe(rowsOf(200))
  })
})
