// The published files, as a run finds them: may they be replaced, can rows be put behind what is there? Nothing is
// guessed: a file that is not as the last commit left it is an error that names it.

import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { startingOver } from '../../../lib/job.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { checkRowId } from '../naming.ts'
import { followsUnknown, isDirect, replaces } from '../recovery.ts'
import { type Disk, readFrom, sizeOfFile, withFile } from './disk.ts'
import { checkExtent, type Extent, extentOf, readTail } from './extent.ts'
import type { Site } from './recover.ts'
import type { FileState } from './sidecar.ts'

/** Before the source is asked for anything: can the published files take what this run brings? */
export async function checkMains(site: Site, run: Run, state: FileState): Promise<void> {
  if (state.mode === 'full_refresh') return
  if (followsUnknown(state, run, Object.keys(state.published).length)) await checkAppendable(site)
  const keys = new Set([site.paths.target, ...Object.keys(state.published)])
  for (const key of keys) {
    if (key in state.files && isDirect(state)) continue
    if (replaces(state)) await checkReplaceable(site, state, key)
    else await appendableExtent(site, state, key)
  }
}

/** Rows that are only what is new since another run belong behind what that run left, so that must be here. */
async function checkAppendable({ disk, paths }: Site): Promise<void> {
  const main = paths.main(paths.target)
  if (await disk.stat(main)) return
  throw new BizonError(
    'edited',
    `${main} is missing, and this run would only add what is new since the last one that succeeded`,
    { hint: 'Put it back with its state file, or set destination_id back. Or fetch everything again with --reset.' },
  )
}

/** A first incremental run replaces only what this pipeline published; a full refresh replaces whatever is there. */
export async function checkReplaceable({ disk, paths, sidecar }: Site, state: FileState, key: string): Promise<void> {
  if (state.mode === 'full_refresh' || key in state.published) return
  const main = paths.main(key)
  if ((await sizeOfFile(disk, main)) === 0) return
  throw new BizonError('edited', `${main} exists, and ${sidecar.path} does not say that this pipeline wrote it`, {
    hint: 'Move it away, or run with --reset to replace it.',
  })
}

/** The published file as it is, if rows may be put behind it: the way the last publish left it, or unknown but whole. */
export async function appendableExtent({ disk, paths }: Site, state: FileState, key: string): Promise<Extent> {
  const main = paths.main(key)
  const known = state.published[key]
  await checkFirstColumn(disk, main, paths.firstColumn)
  if (known) {
    await checkExtent(disk, main, known, { whole: true, hint: putBack(state.mode) })
    await checkHeader(disk, main, known.bytes, paths.header(key))
    return known
  }
  // Not ours: for instance the Python program's. Taken over as it is.
  const size = await sizeOfFile(disk, main)
  const tail = await readTail(disk, main, size)
  if (size > 0 && tail.at(-1) !== 0x0a) {
    throw new BizonError('edited', `${main} does not end with a line end: its last line may be cut off`, {
      hint: 'Complete or remove the last line, or move the file away.',
    })
  }
  await checkHeader(disk, main, size, paths.header(key))
  return extentOf(size, tail)
}

/** Rows with other columns are never put below a header. */
export async function checkHeader(disk: Disk, path: string, size: number, header: Buffer): Promise<void> {
  if (size === 0 || header.length === 0) return
  const found = await withFile(disk, path, 'read', (file) => readFrom(file, 0, Math.max(header.length, SHOWN_BYTES)))
  if (found.indexOf(header) === 0) return
  const shown = found.toString('utf8', 0, Math.min(found.length, SHOWN_BYTES)).split('\n', 1)[0]
  const ours = header.toString().trimEnd()
  throw new BizonError(
    'edited',
    `${path} has other columns: it begins with ${shown}, and the rows to add have ${ours}`,
    {
      hint: 'Choose another destination_id for the new columns. Or fetch everything again and replace the file with --reset.',
    },
  )
}

/**
 * Rows of one `metadata` are never put below those of another. `own`: what each line begins with, where that is known; lines
 * of others, that begin with something of their own, are taken as they are.
 */
export async function checkFirstColumn(disk: Disk, path: string, own: string | undefined): Promise<void> {
  if (own === undefined || !(await disk.stat(path))) return
  const found = await withFile(disk, path, 'read', (file) => readFrom(file, 0, SHOWN_BYTES))
  const [, name = own] = /^\s*\{\s*"([^"\\]*)"/.exec(found.toString('latin1')) ?? []
  if (name !== own) checkRowId(path, name, own)
}

const SHOWN_BYTES = 400

/** What to do about files that are not as the last commit left them. */
export function putBack(mode: SyncMode): string {
  return `Put the file back as it was. Or ${startingOver(mode)}.`
}
