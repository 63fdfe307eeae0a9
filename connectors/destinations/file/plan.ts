// What a run would find here and do, found out by recovering on a disk that is not written to.

import type { DestinationPlan, PlannedChange, Run } from '../../../lib/destination.ts'
import { lockHolder } from '../../lock.ts'
import { replaces } from '../recovery.ts'
import { ensureFolder } from './disk.ts'
import { DryDisk } from './dry.ts'
import { recover, type Site } from './recover.ts'
import { type FileState, Sidecar } from './sidecar.ts'

export interface PlanOptions {
  readonly onEmpty: 'publish' | 'keep'
  /** A path as people are shown it. */
  readonly shown: (path: string) => string
}

export async function planFiles(site: Site, run: Run, options: PlanOptions): Promise<DestinationPlan> {
  const { paths } = site
  const disk = new DryDisk(site.disk)
  await ensureFolder(disk, paths.folder)
  await disk.checkWritable(paths.folder)
  const heldBy = await lockHolder(paths.lock, 'destination')
  // Its files are on their way from one state to another.
  if (heldBy !== undefined) return { durable: run.stored, heldBy, changes: [] }
  const state = await recover({ ...site, disk, sidecar: new Sidecar(disk, paths.sidecar) }, run)
  const repairs = disk.changes.map(
    (change): PlannedChange => ({
      target: options.shown(change.path),
      action: change.action,
      reason:
        change.action === 'cut'
          ? `to ${change.bytes} bytes: what follows does not count`
          : 'an earlier run has left it',
    }),
  )
  const from = state.checkpoint ?? (run.mode === 'stream' ? run.stored : undefined)
  return { durable: from, changes: [...repairs, ...(await published({ ...site, disk }, state, options))] }
}

/** What becomes of the files that readers see. */
async function published(site: Site, state: FileState, { onEmpty, shown }: PlanOptions): Promise<PlannedChange[]> {
  if (state.phase === 'published' && state.mode !== 'stream') return []
  const { disk, paths } = site
  const changes: PlannedChange[] = []
  const named = new Set([paths.target, ...Object.keys(state.files)])
  for (const key of named) {
    const main = paths.main(key)
    const found = await disk.stat(main)
    changes.push({
      target: shown(main),
      action: found ? (replaces(state) ? 'replace' : 'append') : 'create',
      ...(found && { bytes: found.bytes }),
    })
  }
  for (const key of replaces(state) ? Object.keys(state.published) : []) {
    if (named.has(key)) continue
    const main = paths.main(key)
    changes.push({
      target: shown(main),
      action: onEmpty === 'keep' ? 'keep' : 'empty',
      bytes: (await disk.stat(main))?.bytes ?? 0,
      reason: 'unless records are for it',
    })
  }
  return changes
}
