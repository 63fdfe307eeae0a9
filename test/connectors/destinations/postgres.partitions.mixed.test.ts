// Runs in partitions of which something must not be published together: loaded with two settings, or read twice; and one whose state
// somebody removes. psql looks.

import { beforeEach, describe, expect, test } from 'vitest'
import { PostgresDestination } from '../../../connectors/destinations/postgres.ts'
import type { BizonError } from '../../../lib/errors.ts'
import { partRun } from '../../../lib/partition.ts'
import type { LoadQueueOptions } from '../../../lib/pipe/queue/load.ts'
import { never } from '../../../lib/wait.ts'
import { runOf } from '../../support/load.ts'
import { linesOf, numbersIn, Parts } from '../../support/part-ground.ts'
import { postgresOptions, silent } from '../../support/postgres-destination.ts'
import { upTo } from '../../support/queued.ts'
import { freshDatabase, psql } from '../../support/services/postgres.ts'

let url = ''
beforeEach(async () => {
  url = (await freshDatabase()).url
})

const read = (sql: string): Promise<string[]> => linesOf(url, sql)
const numbers = (table?: string): Promise<number[]> => numbersIn(url, table)

/** What the checkpoints of the partitions say that have one. */
const standing = async (what: string): Promise<string[]> =>
  read(`SELECT ${what} FROM _bizon_state WHERE owner IS NULL AND phase = 'staging' AND checkpoint IS NOT NULL`).catch(
    () => [],
  )
const holding = async (pages: number): Promise<number> =>
  (await standing("checkpoint->>'page'")).filter((page) => Number(page) === pages).length
const endedOf = async (targets: readonly string[]): Promise<number> =>
  (await standing("target || ': ' || (checkpoint->>'end')")).filter((one) =>
    targets.some((target) => one === `${target}: true`),
  ).length
const ended = async (): Promise<number> => (await standing("checkpoint->>'end'")).filter((end) => end === 'true').length

describe('whose loader was edited meanwhile', () => {
  test('goes on with the new settings, as long as nothing is loaded', async () => {
    const parts = new Parts({ url, mode: 'full_refresh', pages: [9, 4] })
    await parts.extract()
    // Of one partition alone: another one could have a page by then.
    const release = parts.hold(0, [1, 2])
    const killed = new AbortController()
    const observe: LoadQueueOptions['observe'] = ({ type }) => {
      if (type === 'start') killed.abort(new Error('killed'))
    }
    await expect(parts.load({ signal: killed.signal, observe })).rejects.toThrow('killed')
    release()
    expect(await parts.load({}, { destination_id: 'other' })).toMatchObject({ status: 'complete' })
    expect(await numbers('other')).toEqual(upTo(13))
  })

  test('is refused, until the settings are as before', async () => {
    const parts = new Parts({ url, mode: 'full_refresh', pages: [9, 4, 7] })
    await parts.extract()
    const release = parts.hold(1)
    await parts.loadUntil(async () => (await holding(1)) === 3)
    release()
    await expect(parts.load({}, { destination_id: 'other' })).rejects.toThrow(
      /destination, or transforms of the loader, were edited while a run was being loaded: partition \d of 3 has 1 page of it/,
    )
    expect(await parts.load()).toMatchObject({ status: 'complete' })
    expect(await numbers()).toEqual(upTo(20))
  })

  test('is not published where two began it at once, each with settings of its own', async () => {
    const settings = ['aaaa', 'bbbb']
    const opened = settings.map((_, index) => {
      const partition = { index, of: 2 }
      const context = { stream: 'numbers', partition, mode: 'full_refresh' as const, log: silent }
      const run = runOf(partRun('a'.repeat(32), index), 'full_refresh', 1)
      const destination = new PostgresDestination(postgresOptions(url), context)
      return { destination, run: { ...run, stream: `numbers#${index}`, partition } }
    })
    for (const { destination, run } of opened) expect(await destination.open(run, never)).toBeUndefined()
    for (const [index, { destination, run }] of opened.entries()) {
      await destination.write({ records: [{ id: String(index), data: {} }], next: null }, never)
      const settled = { settings: settings[index] as string }
      await destination.flush({ run: run.id, page: 1, rows: 1, position: null, end: true, ...settled })
      expect((await destination.parts()).map((part) => part?.settings)).toEqual(
        settings
          .slice(0, index + 1)
          .concat([undefined as never])
          .slice(0, 2),
      )
    }
    for (const { destination } of opened) {
      await expect(destination.publish()).rejects.toThrow(
        `not published: partitions 1 and 2 of 2 of run ${'a'.repeat(28)}0000 were loaded with two settings of destination`,
      )
      await destination.close()
    }
    await expect(psql(url, 'SELECT FROM main')).rejects.toThrow('does not exist')
  })
})

describe('whose source was read twice', () => {
  /** All but the first partition lose what comes after its first page, which is then read once more. */
  async function readTwice(change: (pages: number[]) => void): Promise<{ parts: Parts; loading: Promise<unknown> }> {
    const pages = [9, 7, 8]
    const parts = new Parts({ url, mode: 'full_refresh', pages })
    await parts.extract()
    parts.hold(1, [1, 2])
    await parts.loadUntil(async () => (await ended()) === 1 && (await holding(1)) === 2)
    change(pages)
    await parts.extract({ ignoresWaiting: true })
    return { parts, loading: parts.load().catch((error: unknown) => error) }
  }

  test('is published where the second reading gave the same', async () => {
    const { loading } = await readTwice(() => {})
    expect(await loading).toMatchObject({ status: 'complete' })
    expect(await numbers()).toEqual(upTo(24))
  })

  test.each([
    ['other records in as many pages', (pages: number[]) => pages.splice(2, 1, 30)],
    ['as many records in other pages', (pages: number[]) => pages.splice(1, 2, 7, 4, 4)],
  ])('is not published where it gave %s, until it is read once more', async (_, change) => {
    const { parts, loading } = await readTwice(change)
    const error = (await loading) as BizonError
    expect(error.message).toMatch(/^not published: run [0-9a-f]{28}0000 was read twice, with other records the second/)
    await expect(psql(url, 'SELECT FROM main')).rejects.toThrow('does not exist')
    await parts.extract({ ignoresWaiting: true, startOver: true })
    expect(await parts.load({ skipBroken: true })).toMatchObject({ status: 'complete' })
    const rows = await numbers()
    expect(rows).toEqual(upTo(rows.length))
    expect(rows.length).toBeGreaterThanOrEqual(24)
  })

  test.each([
    ['first', [0]],
    ['others', [1, 2]],
  ])(
    'while readers see batch by batch, is not done where the %s had more, until it is read once more',
    async (_, late) => {
      const pages = [9]
      const parts = new Parts({ url, mode: 'incremental', pages, keys: { visibility: 'batch' } })
      await parts.extract()
      await parts.load()
      pages.push(7, 8)
      await parts.extract()
      parts.hold(1, late)
      await parts.loadUntil(async () => (await holding(1)) === late.length && (await succeeded()) === 6 - late.length)
      // The extract died, what it had put is lost, and there is more to be read now.
      pages.push(12)
      await parts.extract({ ignoresWaiting: true })
      for (const _ of [1, 2]) {
        await expect(parts.load()).rejects.toThrow(
          /^not published: run [0-9a-f]{28}0000 was read twice, with other records the second time/,
        )
      }
      await parts.extract({ ignoresWaiting: true, reset: true })
      // Nor where the partitions that are done with it have gone on, and hold the next run.
      const release = parts.hold(0, late)
      const others = [0, 1, 2]
        .filter((index) => !late.includes(index))
        .map((index) => `main [partition ${index + 1} of 3]`)
      await parts.loadUntil(async () => (await endedOf(others)) === others.length)
      release()
      await expect(parts.load()).rejects.toThrow(/^not published: run [0-9a-f]{28}0000 was read twice/)
      expect(await parts.load({ skipBroken: true })).toMatchObject({ status: 'complete' })
      expect(await numbers()).toEqual(upTo(36))
      pages.push(5)
      await parts.extract()
      expect(await parts.load()).toMatchObject({ status: 'complete' })
      expect(await numbers()).toEqual(upTo(41))
    },
  )

  const succeeded = async (): Promise<number> =>
    (await read("SELECT id FROM stream_jobs WHERE status = 'succeeded'")).length
})

describe('whose state row somebody removes', () => {
  test.each(['full_refresh', 'incremental'])('fails, and names the partition and what to do (%s)', async (mode) => {
    const parts = new Parts({ url, mode, pages: [9, 4] })
    await parts.extract()
    parts.hold(1, [2])
    const loading = parts.load().catch((error: unknown) => error)
    await until(async () => (await ended()) === 2)
    await psql(url, "DELETE FROM _bizon_state WHERE target = 'main [partition 2 of 3]'")
    expect(await loading).toMatchObject({
      message: 'the row of "main [partition 2 of 3]" in public._bizon_state was removed before the run was published',
      hint: expect.stringMatching(
        /^Put it back as it was. Or read it once more, whole: .* --ignore-queue; then bizon-load/,
      ),
    })
    expect(await parts.load().catch((error: unknown) => error)).toMatchObject({
      message: expect.stringMatching(/^the row of "main \[partition 2 of 3\]" in public._bizon_state is missing/),
      hint: expect.stringMatching(/--ignore-queue; then bizon-load/),
    })
    await parts.extract({ ignoresWaiting: true, startOver: mode === 'full_refresh', reset: mode === 'incremental' })
    expect(await parts.load({ skipBroken: true })).toMatchObject({ status: 'complete' })
    expect(await numbers()).toEqual(upTo(13))
  })
})

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((done) => setTimeout(done, 20))
}
