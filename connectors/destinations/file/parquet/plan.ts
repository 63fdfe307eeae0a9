// What a run would find in the folders of parts and do: recovered on a disk that is not written to, as in file/plan.ts.

import type { DestinationPlan, Run } from '../../../../lib/destination.ts'
import { lockHolder } from '../../../lock.ts'
import { type Column, loadParquet } from '../../../parquet.ts'
import { publishedBy } from '../../plan.ts'
import { ensureFolder } from '../disk.ts'
import { DryDisk } from '../dry.ts'
import { shortest } from '../paths.ts'
import { Sidecar } from '../sidecar.ts'
import type { PartDisk } from './disk.ts'
import { recover } from './recover.ts'
import type { PartState, Site } from './state.ts'

export interface PlanOptions {
  readonly onEmpty: 'publish' | 'keep'
  columnsOf(key: string): readonly Column[] | undefined
}

export async function planParts(site: Site, run: Run, { onEmpty, columnsOf }: PlanOptions): Promise<DestinationPlan> {
  const { layout } = site
  const libraries = await loadParquet('destination')
  const disk = new DryPartDisk(site.disk)
  await ensureFolder(disk, layout.folder)
  await disk.checkWritable(layout.folder)
  const heldBy = await lockHolder(layout.lock, 'destination')
  // Its folders are on their way from one state to another.
  if (heldBy !== undefined) return { durable: run.stored, heldBy, changes: [] }
  const dry = { disk, layout, sidecar: new Sidecar<PartState>(disk, layout.sidecar) }
  const { state } = await recover(dry, run, libraries, columnsOf)
  const repairs = disk.changes.map(({ path }) => ({
    ...{ target: shortest(path), action: 'remove' as const, reason: 'an earlier run has left it' },
  }))
  const changes = await publishedBy(
    run,
    { ...state, written: state.staged, published: Object.keys(state.published) },
    {
      ...{ target: layout.target, onEmpty },
      shown: (key) => shortest(layout.current(key)),
      async find(key) {
        if ((await disk.readLink(layout.current(key))) === undefined) return undefined
        const version = state.published[key]
        return version ? { bytes: version.parts.reduce((sum, { bytes }) => sum + bytes, 0) } : {}
      },
    },
  )
  const durable = state.checkpoint ?? (run.mode === 'stream' ? run.stored : undefined)
  return { durable, changes: [...repairs, ...changes] }
}

/** The same with folders and links. */
class DryPartDisk extends DryDisk implements PartDisk {
  readonly #disk: PartDisk
  readonly #links = new Map<string, string>()
  readonly #gone = new Set<string>()

  constructor(disk: PartDisk) {
    super(disk)
    this.#disk = disk
  }

  /** Of a part that is written: a plan writes none. */
  async link(): Promise<boolean> {
    return true
  }

  async list(folder: string): Promise<string[]> {
    const names = await this.#disk.list(folder)
    return names.filter((name) => !this.#gone.has(`${folder}/${name}`))
  }

  async readLink(path: string): Promise<string | null | undefined> {
    if (this.#gone.has(path)) return undefined
    return this.#links.get(path) ?? this.#disk.readLink(path)
  }

  async makeLink(target: string, path: string): Promise<void> {
    this.#links.set(path, target)
  }

  override async rename(from: string, to: string): Promise<void> {
    const target = this.#links.get(from)
    if (target === undefined) return super.rename(from, to)
    this.#links.delete(from)
    this.#links.set(to, target)
    this.#gone.delete(to)
  }

  override async remove(path: string): Promise<void> {
    if (this.#links.delete(path)) return
    await super.remove(path)
    this.#gone.add(path)
  }

  async removeFolder(path: string): Promise<void> {
    this.changes.push({ action: 'remove', path })
    this.#gone.add(path)
  }
}
