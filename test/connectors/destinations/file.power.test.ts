import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Disk, realDisk } from '../../../connectors/destinations/file/disk.ts'
import { FileDestination, type FileOptions } from '../../../connectors/destinations/file.ts'
import type { Destination } from '../../../lib/destination.ts'
import { messageOf } from '../../../lib/errors.ts'
import type { Page, SyncMode } from '../../../lib/source.ts'
import { NIGHTLY } from '../../crash/workspace.ts'
import { withFiles } from '../../support/disk.ts'
import { idsOf, load, pagesOf, runOf } from '../../support/load.ts'
import { afterPowerCut, type Luck, record } from '../../support/power.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'bizon-power-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

const OLD = pagesOf('old', 1)
const NEW = pagesOf('new', 2, (n) => (n === 4 ? 'routed' : undefined))
const MAIN = idsOf(NEW).filter((id) => id !== 'new4')

interface Case {
  readonly title: string
  readonly mode: SyncMode
  readonly complete: boolean
  /** What happened in the folder before the run that is cut off. */
  before?(folder: string): Promise<unknown>
  /** What the files hold in the end. */
  readonly result: { readonly [file: string]: readonly string[] }
}

const AFTER_OLD = { 'main.json': [...idsOf(OLD), ...MAIN], 'sub/routed.json': ['new4'] }
const REPLACED = { 'main.json': MAIN, 'sub/routed.json': ['new4'] }

const CASES: readonly Case[] = [
  { title: 'a full refresh', mode: 'full_refresh', complete: true, result: REPLACED },
  { title: 'a first incremental run', mode: 'incremental', complete: true, result: REPLACED },
  {
    title: 'an incremental run',
    mode: 'incremental',
    complete: false,
    before: (folder) => load(create(folder, 'full_refresh'), runOf('old', 'full_refresh', 1), OLD),
    result: AFTER_OLD,
  },
  {
    title: 'a stream',
    mode: 'stream',
    complete: false,
    before: (folder) => load(create(folder, 'stream'), runOf('old', 'stream', 1), OLD),
    result: AFTER_OLD,
  },
  {
    title: 'a full refresh in which a target has no rows any more',
    mode: 'full_refresh',
    complete: true,
    before: (folder) =>
      load(
        create(folder, 'full_refresh'),
        runOf('old', 'full_refresh', 1),
        routed(
          folder,
          pagesOf('old', 1, () => 'gone'),
        ),
      ),
    result: { ...REPLACED, 'sub/gone.json': [] },
  },
  {
    title: 'an incremental run after one that was given up in the middle of its append',
    mode: 'incremental',
    complete: false,
    async before(folder) {
      await load(create(folder, 'full_refresh'), runOf('old', 'full_refresh', 1), OLD)
      const giveUp = () => Promise.reject(new Error('given up'))
      const atMain = withFiles(realDisk, (file, path) =>
        // Nor can what was added be taken back.
        path.endsWith('main.json') ? { sync: giveUp, truncate: giveUp } : file,
      )
      const givenUp = load(
        create(folder, 'incremental', atMain, 'power_loss'),
        runOf('given up', 'incremental', 1),
        OLD,
      )
      await expect(givenUp).rejects.toThrow('given up')
      expect(await idsIn(join(folder, 'out', 'main.json'))).toEqual([...idsOf(OLD), ...idsOf(OLD)])
    },
    result: AFTER_OLD,
  },
]

/** The records that name a target, with its path in the folder. */
function routed(folder: string, pages: readonly Page[]): Page[] {
  return pages.map((page) => ({
    ...page,
    records: page.records.map((record) =>
      record.destinationId === undefined
        ? record
        : { ...record, destinationId: join(folder, 'out', 'sub', record.destinationId) },
    ),
  }))
}

function create(
  folder: string,
  mode: SyncMode,
  disk = realDisk,
  durability: FileOptions['durability'] = 'process',
): FileDestination {
  return new FileDestination(
    {
      format: 'json',
      metadata: 'none',
      durability,
      visibility: 'run',
      on_empty: 'publish',
      destinationId: join(folder, 'out', 'main'),
      unnest: false,
      recordSchemas: [],
    },
    { stream: 'main', mode },
    disk,
  )
}

async function idsIn(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8')
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line).id)
}

async function readAll(folder: string, files: Case['result']): Promise<Case['result']> {
  const read = Object.keys(files).map(async (file) => [file, await idsIn(join(folder, 'out', file))] as const)
  return Object.fromEntries(await Promise.all(read))
}

/** A seeded generator of numbers in [0, 1). */
function numbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** Of what was not synced: nothing, everything, or anything. */
function luckOf(seed: number): Luck {
  if (seed < 2) return () => seed
  const next = numbers(seed)
  return () => {
    const number = next()
    return number < 0.4 ? 0 : number < 0.8 ? 1 : (number - 0.8) * 5
  }
}

/**
 * Runs once with the power on, then cuts it behind every operation and lets the next process finish. What was
 * promised before the cut must hold: a flushed checkpoint is there, a published file is whole.
 * With a flaw the first thing is enough.
 * Resolves to what went wrong.
 */
async function cutEverywhere(
  { mode, complete, before, result }: Case,
  flaw: ((disk: Disk) => Disk) | undefined,
  seeds: readonly number[],
): Promise<string[]> {
  const folder = await mkdtemp(join(root, 'case-'))
  await before?.(folder)
  const { disk, recording } = await record(realDisk, folder)
  const run = runOf('new', mode, 2, complete)
  const promised: { readonly behind: number; readonly page: number }[] = []
  let publishedBehind = Number.POSITIVE_INFINITY
  const destination = create(folder, mode, flaw ? flaw(disk) : disk, 'power_loss')
  const noting: Destination = {
    open: (...args) => destination.open(...args),
    write: (...args) => destination.write(...args),
    async flush(checkpoint) {
      const receipt = await destination.flush(checkpoint)
      promised.push({ behind: recording.operations.length, page: checkpoint.page })
      return receipt
    },
    async publish() {
      await destination.publish()
      publishedBehind = recording.operations.length
    },
    close: () => destination.close(),
  }
  await load(noting, run, routed(folder, NEW))

  const wrong: string[] = []
  for (let count = 0; count <= recording.operations.length; count++) {
    for (const seed of seeds) {
      const left = await mkdtemp(join(root, 'left-'))
      const where = `cut behind operation ${count} of ${recording.operations.length}, seed ${seed}`
      try {
        await afterPowerCut(recording, count, luckOf(seed), left)
        if (count >= publishedBehind) expect(await readAll(left, result)).toEqual(result)
        const next = create(left, mode)
        const from = await next.open({ ...run, epoch: 3 }, new AbortController().signal).finally(() => next.close())
        const least = promised.findLast(({ behind }) => behind <= count)?.page ?? 0
        expect(from?.page ?? 0, 'page of the checkpoint').toBeGreaterThanOrEqual(least)
        await load(create(left, mode), { ...run, epoch: 3 }, routed(left, NEW))
        expect(await readAll(left, result)).toEqual(result)
      } catch (error) {
        wrong.push(`${where}: ${messageOf(error)}`)
      }
      await rm(left, { recursive: true })
      if (flaw && wrong.length > 0) return wrong
    }
  }
  return wrong
}

describe('when the power goes behind any operation the next process still ends with every record once', () => {
  for (const kind of CASES) {
    test(kind.title, async () => {
      expect(await cutEverywhere(kind, undefined, NIGHTLY ? [0, 1, 2, 3, 4] : [2])).toEqual([])
    })
  }
})

describe('this test notices', () => {
  test('content that is not synced', async () => {
    const flaw = (disk: Disk) => withFiles(disk, () => ({ sync: async () => {} }))
    for (const kind of CASES) expect(await cutEverywhere(kind, flaw, [0]), kind.title).not.toEqual([])
  })

  test('rows that are not synced, while the state file is', async () => {
    const flaw = (disk: Disk) =>
      withFiles(disk, (file, path) => (path.endsWith('.tmp') ? file : { sync: async () => {} }))
    for (const kind of CASES) expect(await cutEverywhere(kind, flaw, [0])).not.toEqual([])
  })

  test('names that are not synced', async () => {
    const flaw = (disk: Disk): Disk => ({ ...disk, syncFolder: async () => {} })
    for (const kind of CASES) expect(await cutEverywhere(kind, flaw, [0, 2, 3])).not.toEqual([])
  })
})
