// Cuts the power behind every operation of a run of the file destination, and lets the next process finish.

import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type PartDisk, realPartDisk } from '../../connectors/destinations/file/parquet/disk.ts'
import type { FileOptions } from '../../connectors/destinations/file.ts'
import type { Destination } from '../../lib/destination.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Page, SyncMode } from '../../lib/source.ts'
import { idsOf, load, pagesOf, runOf } from './load.ts'
import { afterPowerCut, type Luck, record } from './power.ts'

/** What writes the files of one format, and how another program reads them. */
export interface Files {
  create(options: FileOptions, how: { readonly stream: string; readonly mode: SyncMode }, disk: PartDisk): Destination
  readonly options: Pick<FileOptions, 'format' | 'metadata'>
  /** Ids of the records that readers see of a target; its path has no extension. */
  read(path: string): Promise<string[]>
  /** A disk on which an append to `main` fails in its midst and cannot be taken back, and what readers see then. */
  readonly givingUp: { readonly disk: PartDisk; readonly seen: readonly string[] }
}

export interface Case {
  readonly title: string
  readonly mode: SyncMode
  readonly complete: boolean
  /** What happened in the folder before the run that is cut off. */
  before?(files: Files, folder: string): Promise<unknown>
  /** What readers see of each target in the end. */
  readonly result: { readonly [target: string]: readonly string[] }
}

export const OLD = pagesOf('old', 1)
const NEW = pagesOf('new', 2, (n) => (n === 4 ? 'routed' : undefined))
const MAIN = idsOf(NEW).filter((id) => id !== 'new4')
const AFTER_OLD = { main: [...idsOf(OLD), ...MAIN], 'sub/routed': ['new4'] }
const REPLACED = { main: MAIN, 'sub/routed': ['new4'] }

export const CASES: readonly Case[] = [
  { title: 'a full refresh', mode: 'full_refresh', complete: true, result: REPLACED },
  { title: 'a first incremental run', mode: 'incremental', complete: true, result: REPLACED },
  {
    title: 'an incremental run',
    mode: 'incremental',
    complete: false,
    before: (files, folder) => load(create(files, folder, 'full_refresh'), runOf('old', 'full_refresh', 1), OLD),
    result: AFTER_OLD,
  },
  {
    title: 'a stream',
    mode: 'stream',
    complete: false,
    before: (files, folder) => load(create(files, folder, 'stream'), runOf('old', 'stream', 1), OLD),
    result: AFTER_OLD,
  },
  {
    title: 'a full refresh in which a target has no rows any more',
    mode: 'full_refresh',
    complete: true,
    before: (files, folder) =>
      load(
        create(files, folder, 'full_refresh'),
        runOf('old', 'full_refresh', 1),
        routed(
          folder,
          pagesOf('old', 1, () => 'gone'),
        ),
      ),
    result: { ...REPLACED, 'sub/gone': [] },
  },
  {
    title: 'an incremental run after one that was given up in the middle of its append',
    mode: 'incremental',
    complete: false,
    async before(files, folder) {
      await load(create(files, folder, 'full_refresh'), runOf('old', 'full_refresh', 1), OLD)
      const { disk, seen } = files.givingUp
      const givenUp = load(
        create(files, folder, 'incremental', disk, 'power_loss'),
        runOf('given up', 'incremental', 2),
        OLD,
      )
      await expect(givenUp).rejects.toThrow(GIVEN_UP)
      expect(await files.read(join(folder, 'out', 'main'))).toEqual(seen)
    },
    result: AFTER_OLD,
  },
]

const GIVEN_UP = 'given up'
export const giveUp = (): Promise<never> => Promise.reject(new Error(GIVEN_UP))

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
  files: Files,
  folder: string,
  mode: SyncMode,
  disk: PartDisk = realPartDisk,
  durability: FileOptions['durability'] = 'process',
): Destination {
  const options: FileOptions = {
    ...files.options,
    durability,
    visibility: 'run',
    on_empty: 'publish',
    destinationId: join(folder, 'out', 'main'),
    unnest: false,
    recordSchemas: [],
  }
  return files.create(options, { stream: 'main', mode }, disk)
}

async function readAll(files: Files, folder: string, targets: Case['result']): Promise<Case['result']> {
  const read = Object.keys(targets).map(
    async (target) => [target, await files.read(join(folder, 'out', target))] as const,
  )
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
export function luckOf(seed: number): Luck {
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
export async function cutEverywhere(
  root: string,
  files: Files,
  { mode, complete, before, result }: Case,
  flaw: ((disk: PartDisk) => PartDisk) | undefined,
  seeds: readonly number[],
): Promise<string[]> {
  const folder = await mkdtemp(join(root, 'case-'))
  await before?.(files, folder)
  const { disk, recording } = await record(realPartDisk, folder)
  const run = runOf('new', mode, 3, complete)
  const promised: { readonly behind: number; readonly page: number }[] = []
  let publishedBehind = Number.POSITIVE_INFINITY
  const destination = create(files, folder, mode, flaw ? flaw(disk) : disk, 'power_loss')
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
        if (count >= publishedBehind) expect(await readAll(files, left, result)).toEqual(result)
        const next = create(files, left, mode)
        const from = await next.open({ ...run, epoch: 4 }, new AbortController().signal).finally(() => next.close())
        const least = promised.findLast(({ behind }) => behind <= count)?.page ?? 0
        expect(from?.page ?? 0, 'page of the checkpoint').toBeGreaterThanOrEqual(least)
        await load(create(files, left, mode), { ...run, epoch: 4 }, routed(left, NEW))
        expect(await readAll(files, left, result)).toEqual(result)
      } catch (error) {
        wrong.push(`${where}: ${messageOf(error)}`)
      }
      await rm(left, { recursive: true })
      if (flaw && wrong.length > 0) return wrong
    }
  }
  return wrong
}
