// Whether the files are still those that were read: under other names they are, with other content they are not.

import type { Log } from '../../../lib/log.ts'
import type { SyncMode } from '../../../lib/source.ts'
import type { FileConfig } from '../file.ts'
import { changeOf, type Identity, identityOf, inodeOf, isSameFile } from './identity.ts'
import { type Input, openInput } from './input.ts'
import type { Invalid } from './invalid.ts'
import { type FileToRead, STDIN } from './paths.ts'
import { changedFile, type Place, type Progress, type Resumption, TAIL_BYTES, Tail } from './progress.ts'
import type { Rows } from './rows.ts'

export type Settings = FileConfig & { readonly dead_letter_path: string }

/** What one read of all files shares. */
export interface Reader {
  readonly settings: Settings
  readonly mode: SyncMode
  readonly log: Log
  readonly signal: AbortSignal
  readonly progress: Progress
  readonly rows: Rows
  readonly invalid: Invalid
  readonly resumption: Resumption
  bytesSincePage: number
}

export type Identities = ReadonlyMap<string, Identity | undefined>

export async function identitiesOf(files: readonly FileToRead[]): Promise<Identities> {
  const found = new Map<string, Identity | undefined>()
  for (const { path } of files) found.set(path, path === STDIN ? undefined : await identityOf(path))
  return found
}

/** Finds the known files among those that are there, also when their paths are spelled otherwise or they were renamed. */
export async function recognise(files: readonly FileToRead[], there: Identities, reader: Reader): Promise<void> {
  const { progress } = reader
  progress.respell(files.map(({ path }) => path))
  const known = new Map<string, { path: string; place: Place; file: Identity }>()
  for (const [path, place] of progress.places) {
    const { file, offset } = place
    // One that is still where it was cannot be another.
    if (file === undefined || offset === 0 || inodeOf(there.get(path)) === inodeOf(file)) continue
    known.set(inodeOf(file), { path, place, file })
  }
  const moves: [from: string, to: string][] = []
  for (const file of files) {
    const identity = there.get(file.path)
    const before = known.get(inodeOf(identity))
    if (identity === undefined || before === undefined || !isSameFile(before.file, identity)) continue
    if (before.path !== file.path && (await endsAt(before.place, file, reader))) moves.push([before.path, file.path])
  }
  progress.rename(moves)
}

/** Whether the file has the bytes before the place. */
async function endsAt({ offset, tail }: Place, file: FileToRead, { rows, signal }: Reader): Promise<boolean> {
  const input = await openInput(file, rows.pool, signal)
  try {
    const before = await input?.seek(offset, TAIL_BYTES, signal)
    return before !== undefined && new Tail(before).hash === tail
  } finally {
    await input?.close()
  }
}

/** Goes to where the file was left and makes sure that it is still the same up to there. Undefined if aborted. */
export async function goTo(input: Input, path: string, reader: Reader): Promise<Tail | undefined> {
  const { progress, signal, resumption, mode } = reader
  const place = progress.at(path)
  const before = await input.seek(place.offset, TAIL_BYTES, signal)
  if (signal.aborted) return undefined
  if (before === undefined)
    throw changedFile(path, `is shorter than the ${place.offset} bytes that were read of it`, resumption)
  const tail = new Tail(before)
  if (place.offset === 0) return tail
  if (tail.hash !== place.tail) {
    throw changedFile(path, `is not the file it was: it differs before byte ${place.offset}`, resumption)
  }
  // A full refresh is one picture of the file; the others take what is added to it, whoever holds the rest.
  if (mode === 'full_refresh' && place.file !== undefined && input.identity !== undefined) {
    const change = changeOf(place.file, input.identity)
    if (change !== undefined) throw changedFile(path, `is not the file it was: ${change}`, 'replaced')
  }
  return tail
}
