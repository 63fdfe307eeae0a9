// The tests of partitions, tested: twins with one fault each must be found at a real topic and a real PostgreSQL, where the program
// passes. psql looks.

import { describe, expect, test } from 'vitest'
import type { Mutant } from './mutants.ts'
import { rowsOf, Shared } from './partitions.ts'
import { buildTwin, checkReplacements } from './twin.ts'
import { fewOf, inTurn, isStopped, TEST_LIMIT_MS, until } from './workspace.ts'

/** What is wrong; nothing: all is well. `program`: a twin of bizon-load. */
type Look = (program?: string) => Promise<string[]>

const ROWS = 600
/** Of a twin, until one finds it. */
const LOOKS = 5

async function within(mode: string, work: (shared: Shared) => Promise<string[]>): Promise<string[]> {
  const shared = await Shared.create(mode, ROWS)
  try {
    return await work(shared)
  } finally {
    await shared.remove()
  }
}

async function complaints(shared: Shared): Promise<string[]> {
  const content = await shared.content()
  return content === rowsOf(ROWS) ? [] : [`main has ${content}`]
}

/** One loader, perhaps after one that dies; what readers see once it has published for the first time, and stands still. */
const firstSeen =
  (failpoint?: string): Look =>
  (program) =>
    within('full_refresh', async (shared) => {
      await shared.extract()
      const twin = program === undefined ? {} : { program }
      if (failpoint !== undefined) {
        const { signal } = await shared.load({ ...twin, failpoint })
        if (signal !== 'SIGKILL') return [`${failpoint} did not fire`]
      }
      let found: string[] | undefined
      const { code, stderr } = await shared.load({
        ...twin,
        failpoint: 'publish.after:stop',
        async during(child) {
          const hasEnded = (): boolean => child.exitCode !== null
          await until('it has published', async () => hasEnded() || (await isStopped(child)))
          if (hasEnded()) return
          found = await complaints(shared)
          child.kill('SIGKILL')
        },
      })
      return found ?? [`it ended with ${code}, and has not published: ${stderr}`]
    })

/**
 * Asleep within a commit, while another loader is given its partitions and loads all there is; then awake, with all its connections gone:
 * whatever it does about what it had begun, it does before it lets go of the partition.
 */
const zombie: Look = (program) =>
  within('stream', async (shared) => {
    const isWhole = async (): Promise<boolean> => (await complaints(shared).catch(() => [''])).length === 0
    await shared.extract({
      // It waits for more lines, until it is stopped.
      async during(extract) {
        await shared.load({
          ...(program !== undefined && { program }),
          failpoint: 'commit.before@8:stop',
          isTalking: true,
          async during(child) {
            let said = ''
            child.stderr?.on('data', (chunk) => {
              said += chunk
            })
            await until('it sleeps', () => isStopped(child), child)
            await shared.cutAll()
            await shared.load({
              async during(other) {
                await until('the other one has loaded all', isWhole, other)
                child.kill('SIGCONT')
                const hasLetGo = (): boolean => said.split('lets go of partition').length > 3
                await until('it has let go of all, or changed something', async () => {
                  return child.exitCode !== null || hasLetGo() || !(await isWhole())
                })
                other.kill('SIGTERM')
              },
            })
            child.kill('SIGKILL')
          },
        })
        extract.kill('SIGTERM')
      },
    })
    return complaints(shared)
  })

const POSTGRES = 'connectors/destinations/postgres'

const mutants: Readonly<Record<string, Mutant & { readonly look: Look }>> = {
  firstEnd: {
    title: 'it is published when the first end is there',
    replacements: [
      {
        file: `${POSTGRES}/together.ts`,
        find: 'if (ready.length < states.length) return undefined',
        replace: 'if (ready.length === 0) return undefined',
      },
      {
        file: `${POSTGRES}/together.ts`,
        find: 'return seen.every((one) => one?.checkpoint?.end)',
        replace: 'return seen.some((one) => one?.checkpoint?.end)',
      },
    ],
    look: firstSeen(),
  },
  noFence: {
    title: 'neither a lock nor the state row keeps out a loader that another one has replaced',
    replacements: [
      {
        file: `${POSTGRES}/session.ts`,
        find: 'SELECT pg_advisory_xact_lock(${lockKey})',
        replace: 'SELECT 1',
      },
      {
        file: `${POSTGRES}/state.ts`,
        find: 'WHERE target = $1 AND sha256 = $${last}`',
        replace: 'WHERE target = $1 AND (sha256 = $${last} OR true)`',
      },
    ],
    look: zombie,
  },
  ackAhead: {
    title: 'a message is acknowledged before its page is durable, and where the broker goes on is trusted',
    replacements: [
      {
        file: 'lib/pipe/queue/feed.ts',
        find: 'head.last && head.to <= page)',
        replace: 'head.last && head.to <= page + 1)',
      },
      { file: 'lib/pipe/admit.ts', find: 'if (state.page > page)', replace: 'if (state.page > 9e9)' },
    ],
    look: firstSeen('ack.after@2:kill'),
  },
  oneCheckpoint: {
    title: 'all partitions have one checkpoint',
    replacements: [
      {
        file: `${POSTGRES}/state.ts`,
        find: 'this.#target = rowKeyOf(target, partition)',
        replace: 'this.#target = rowKeyOf(target, partition && { ...partition, index: 0 })',
      },
    ],
    look: firstSeen(),
  },
}

test.each(Object.entries(mutants))('%s: what it replaces is there', (_, { replacements }) =>
  checkReplacements(replacements),
)

test('a loader that slept while another one was given its partitions changes nothing any more', async () => {
  expect(await zombie()).toEqual([])
})

test.each(fewOf([undefined, 'ack.after@2:kill'], 0))('readers see all of it at first, after %s', async (failpoint) => {
  expect(await firstSeen(failpoint)()).toEqual([])
})

describe.concurrent.each(fewOf(Object.entries(mutants), 2))(
  '%s',
  { timeout: TEST_LIMIT_MS },
  (name, { title, replacements, look }) => {
    test(`is found: ${title}`, async () => {
      const twin = await inTurn(() => buildTwin(`partitions-${name}`, replacements))
      try {
        let found: string[] = []
        // Partitions may happen to end all at once, as they should.
        for (let looks = 0; looks < LOOKS && found.length === 0; looks++) {
          const said = await inTurn(() => look(twin.load))
          // A kill that did not happen proves nothing about what follows one.
          found = said.filter((text) => !text.includes('did not fire'))
        }
        expect(found).not.toEqual([])
      } finally {
        await twin.remove()
      }
    })
  },
)
