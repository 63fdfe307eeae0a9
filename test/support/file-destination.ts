// A file destination in a folder of its own, for tests that look at the bytes.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Disk, realDisk } from '../../connectors/destinations/file/disk.ts'
import { FileDestination, type FileOptions } from '../../connectors/destinations/file.ts'
import type { Run } from '../../lib/destination.ts'
import { systemCode } from '../../lib/errors.ts'
import { RawJson } from '../../lib/record.ts'
import type { Page, SyncMode } from '../../lib/source.ts'
import { runOf } from './load.ts'

/** Name of the state file beside `main.json`. */
export const STATE = '.main.state.json'

/** One page for each list of ids; a record is its id as a JSON string. */
export function pages(...lists: readonly string[][]): Page[] {
  return lists.map((ids, at) => ({
    records: ids.map((id) => ({ id, data: RawJson.from(`"${id}"`) })),
    next: at + 1 < lists.length ? { at } : null,
  }))
}

export const A = pages(['a1', 'a2'])
export const B = pages(['b1'], ['b2'])
export const full = (id: string, epoch: number): Run => runOf(id, 'full_refresh', epoch)
export const more = (id: string, epoch: number): Run => runOf(id, 'incremental', epoch)
export const first = (id: string, epoch: number): Run => runOf(id, 'incremental', epoch, true)
export const stream = (id: string, epoch: number): Run => runOf(id, 'stream', epoch)

export interface Place {
  readonly folder: string
  path(name: string): string
  create(mode: SyncMode, options?: Partial<FileOptions>, disk?: Disk): FileDestination
  /** Undefined when there is no such file. */
  read(name: string): Promise<string | undefined>
}

export async function newPlace(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'bizon-file-'))
  return {
    folder,
    path: (name) => join(folder, name),
    create: (mode, options = {}, disk = realDisk) =>
      new FileDestination(
        {
          format: 'json',
          metadata: 'none',
          durability: 'process',
          visibility: 'run',
          on_empty: 'publish',
          destinationId: join(folder, 'main'),
          unnest: false,
          recordSchemas: [],
          ...options,
        },
        { stream: 'main', mode },
        disk,
      ),
    read: (name) =>
      readFile(join(folder, name), 'utf8').catch((error: unknown) => {
        if (systemCode(error) === 'ENOENT') return undefined
        throw error
      }),
  }
}

export function removePlace({ folder }: Place): Promise<void> {
  return rm(folder, { recursive: true, force: true })
}
