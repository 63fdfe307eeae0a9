// A stream in partitions of a real topic, loaded by several processes into one table of PostgreSQL: killed, asleep, joined by others.
// psql looks.

import { describe, expect, test } from 'vitest'
import { rowsOf, Shared } from './partitions.ts'
import { type Ended, fewOf, isStopped, until } from './workspace.ts'

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

test('a loader that slept while another one was given its partitions changes nothing any more', async () => {
  await within('stream', 900, async (shared) => {
    const all = rowsOf(900)
    const isLoaded = async (): Promise<boolean> => (await shared.content().catch(() => '')) === all
    let slept: Ended | undefined
    // It waits for more lines, until it is stopped.
    await shared.extract({
      async during(extract) {
        slept = await sleeper(shared, isLoaded)
        extract.kill('SIGTERM')
      },
    })
    // It was refused, or stopped: by then it may have been on its way out, where nobody minds the signal.
    expect([1, 3, 143, 'SIGTERM']).toContain(slept?.code ?? slept?.signal)
    expect(await shared.content()).toBe(all)
  })
})

/** Asleep within a commit, while another one loads all there is; then awake. */
function sleeper(shared: Shared, isLoaded: () => Promise<boolean>): Promise<Ended> {
  return shared.load({
    failpoint: 'commit.before@8:stop',
    async during(child) {
      await until('it sleeps', () => isStopped(child), child)
      await shared.cutAll()
      await shared.load({
        async during(other) {
          await until('the other one has loaded all', isLoaded, other)
          child.kill('SIGCONT')
          // What it does now it does before it looks for its partitions again.
          await until('it has found out', async () => child.exitCode !== null || (await isAlone(shared)), other)
          other.kill('SIGTERM')
        },
      })
      child.kill('SIGTERM')
    },
  })
}

/** Nothing that was begun before the connections were cut is under way. */
async function isAlone(shared: Shared): Promise<boolean> {
  const busy = await shared.query(
    `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'COPY%'`,
  )
  return busy === '0'
}
