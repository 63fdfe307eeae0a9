// Parquet files, exactly once: folders of parts, one part for each flush.
//
//   write   → rows gather in columns, and go to a part under a temporary name, row group by row group (parquet/rows.ts)
//   flush   → footer with the checkpoint, sync → commit: the part gets its name (parquet/parts.ts)
//   publish → a folder with the parts that stay and the new ones, shown by renaming a link (parquet/publish.ts)
//   open    → lock, then put right what a dead process left (parquet/recover.ts)

import { basename, dirname, join } from 'node:path'
import type { Checkpoint, Receipt } from '../../../lib/checkpoint.ts'
import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import type { Destination, DestinationPlan, Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { memorySizes } from '../../../lib/memory.ts'
import type { Page } from '../../../lib/source.ts'
import { holder } from '../../../lib/state.ts'
import { type FileLock, lockFile } from '../../lock.ts'
import { type Column, type Libraries, loadParquet } from '../../parquet.ts'
import type { FileOptions } from '../file.ts'
import { namesEmpty } from '../recovery.ts'
import { ensureFolder, withoutSync } from './disk.ts'
import { namingOfFile, partsOf } from './format.ts'
import { type PartDisk, realPartDisk } from './parquet/disk.ts'
import { type Footer, name, OpenPart, ownParts, temporaryOf } from './parquet/parts.ts'
import { planParts } from './parquet/plan.ts'
import { cleanUp, nextVersions, showNext } from './parquet/publish.ts'
import { recover, refuseForeign, show } from './parquet/recover.ts'
import { BIZON, columnsFor, noColumns, type Rows, rowsOf } from './parquet/rows.ts'
import { Layout, type PartState, type Site, writesTo } from './parquet/state.ts'
import { shortest } from './paths.ts'
import { Sidecar } from './sidecar.ts'

export class ParquetDestination implements Destination {
  readonly #options: FileOptions
  readonly #stream: string
  readonly #site: Site
  readonly #open = new Map<string, OpenPart>()
  #lock: FileLock | undefined
  #session: { readonly libraries: Libraries; readonly rows: Rows } | undefined
  #state: PartState | undefined
  #commits = 0
  #keepsOthers = false
  #failure: { readonly error: unknown } | undefined

  /** `disk` is for tests. */
  constructor(options: FileOptions, { stream }: { readonly stream: string }, disk: PartDisk = realPartDisk) {
    if (namingOfFile(options).columns.length === 0 && !options.unnest) throw noColumns()
    if (options.visibility === 'batch') {
      throw new InvalidKey(inDestination('visibility'), 'files of format parquet are shown at the end of a run', {
        hint: 'Leave visibility at run, or choose another format.',
      })
    }
    this.#options = options
    this.#stream = stream
    const layout = new Layout(this.#expand(stream))
    const safe = options.durability === 'process' ? withoutSync(disk) : disk
    this.#site = { disk: safe, layout, sidecar: new Sidecar<PartState>(safe, layout.sidecar) }
  }

  async open(run: Run, signal: AbortSignal): Promise<Checkpoint | undefined> {
    signal.throwIfAborted()
    const libraries = await loadParquet('destination')
    const { disk, layout } = this.#site
    await ensureFolder(disk, layout.folder)
    this.#lock = await lockFile(layout.lock, holder(), { code: 'destination' })
    this.#keepsOthers = run.keepsOthers ?? false
    const { state, own } = await recover(this.#site, run, libraries, (key) => this.#columnsOf(key))
    const from = state.checkpoint ?? (run.mode === 'stream' ? run.stored : undefined)
    this.#state = state
    this.#commits = own.commits
    this.#session = { libraries, rows: rowsOf(this.#options, run, from?.rows ?? 0) }
    return from
  }

  write(page: Page, signal: AbortSignal): Promise<void> {
    return this.#once(async () => {
      signal.throwIfAborted()
      const { rows } = this.#opened()
      const { layout } = this.#site
      const usual = this.#expand(page.stream?.name ?? this.#stream)
      const isEmpty = namesEmpty(page, { keepsOthers: this.#keepsOthers, onEmpty: this.#options.on_empty })
      if (isEmpty) await this.#partOf(layout.key(usual), true)
      for (const part of partsOf(page, usual)) {
        signal.throwIfAborted()
        const key = layout.key(part.id)
        const { gathering } = await this.#partOf(key, true)
        rows.gather(part, page.extractedAt ?? new Date(), shortest(layout.home(key)), gathering)
        await this.#groupWhenFull()
      }
    })
  }

  flush(checkpoint: Checkpoint): Promise<Receipt | undefined> {
    return this.#once(async () => {
      const { disk, layout, sidecar } = this.#site
      const { target } = layout
      const last = await this.#partOf(target, false)
      const { state } = this.#opened()
      const commit = this.#commits + 1
      faultPoint('stage.after')
      faultPoint('fsync.before')
      for (const part of this.#open.values()) {
        const { pipeline, source, stream, number } = state
        const footer: Footer = { pipeline, source, stream, run: number, commit, ...(part === last && { checkpoint }) }
        await part.finish(footer)
      }
      faultPoint('fsync.after')
      await sidecar.confirm(state)
      faultPoint('commit.before')
      for (const key of this.#open.keys()) {
        if (key !== target) await name(disk, temporaryOf(this.#site, state, key, commit))
      }
      faultPoint('commit.mid')
      const path = await name(disk, temporaryOf(this.#site, state, target, commit))
      faultPoint('commit.after')
      if (state.mode === 'stream') for (const key of this.#open.keys()) await show(this.#site, state, key)
      this.#open.clear()
      this.#commits = commit
      this.#state = { ...state, checkpoint }
      // Says that there is a state file to be found: its absence is then an accident, not a fresh start.
      return { state: basename(sidecar.path), part: basename(path) }
    })
  }

  publish(): Promise<void> {
    return this.#once(async () => {
      const { libraries, state } = this.#opened()
      const { checkpoint } = state
      if (!checkpoint?.end) throw new BizonError('internal', 'publish was called before the end was flushed')
      if (state.mode === 'stream') return
      const site = this.#site
      let announced = state
      if (state.phase === 'staging') {
        faultPoint('publish.before')
        const { parts } = await ownParts(site, state, libraries, false)
        const options = { onEmpty: this.#options.on_empty, keepsOthers: this.#keepsOthers }
        const next = nextVersions(state, site.layout.target, parts, options)
        announced = { ...state, phase: 'publishing', next }
        await site.sidecar.commit(announced)
      }
      if (announced.phase === 'publishing') {
        await showNext(site, announced)
        const { published, next } = announced
        const before = Object.keys(next).flatMap((key) => (published[key] ? [[key, published[key].folder]] : []))
        announced = {
          ...announced,
          phase: 'published',
          published: { ...published, ...next },
          next: {},
          before: { ...announced.before, ...Object.fromEntries(before) },
          publishedBy: announced.run,
        }
        await site.sidecar.commit(announced)
        faultPoint('publish.after')
      }
      this.#state = announced
      await cleanUp(site, announced, 'cleanup.mid')
    })
  }

  async close(): Promise<void> {
    const lock = this.#lock
    this.#lock = undefined
    this.#session = undefined
    const open = [...this.#open.values()]
    this.#open.clear()
    try {
      const closed = await Promise.allSettled(open.map((part) => part.close()))
      for (const result of closed) if (result.status === 'rejected') throw result.reason
    } finally {
      await lock?.release()
    }
  }

  async check(): Promise<void> {
    await loadParquet('destination')
    const { disk, layout, sidecar } = this.#site
    if (!(await disk.stat(sidecar.path))) await refuseForeign(this.#site, layout.target)
    let folder = layout.home(layout.target)
    while (!(await disk.stat(folder))) folder = dirname(folder)
    if ((await disk.stat(folder))?.kind !== 'folder') {
      throw new BizonError(
        'destination',
        `cannot create ${layout.home(layout.target)}: ${folder} is a file, not a folder`,
        {
          hint: 'Choose another destination_id.',
        },
      )
    }
    await disk.checkWritable(folder)
  }

  plan(run: Run): Promise<DestinationPlan> {
    const columnsOf = (key: string): readonly Column[] | undefined => this.#columnsOf(key)
    return planParts(this.#site, run, { onEmpty: this.#options.on_empty, columnsOf })
  }

  outputs(): readonly string[] {
    const { layout } = this.#site
    const state = this.#state
    if (!state) return []
    const keys = state.staged.length > 0 || !(layout.target in state.published) ? state.staged : [layout.target]
    return keys.map((key) => shortest(layout.current(key)))
  }

  occupies(): readonly string[] {
    const { layout } = this.#site
    // Of the parts one stands for all: whoever reads it by a pattern reads the others.
    return [join(layout.current(layout.target), 'part-0000000000001-00000001.parquet'), layout.sidecar, layout.lock]
  }

  #opened(): { state: PartState; libraries: Libraries; rows: Rows } {
    if (this.#state && this.#session) return { state: this.#state, ...this.#session }
    throw new BizonError('internal', 'the file destination is not open')
  }

  /** After a failure nothing is known of what was gathered and written: later calls fail with the same error. */
  async #once<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failure) throw this.#failure.error
    try {
      return await work()
    } catch (error) {
      this.#failure = { error }
      throw error
    }
  }

  /** The target's part of the next commit. `named`: the run has rows for it, or says that it has none. */
  async #partOf(key: string, named: boolean): Promise<OpenPart> {
    const { disk, layout, sidecar } = this.#site
    const { state, libraries } = this.#opened()
    if (state.phase !== 'staging') throw new BizonError('internal', 'a published run was written to')
    const isNew = !state.targets.includes(key)
    if (isNew) await refuseForeign(this.#site, key)
    const staged = named && !state.staged.includes(key) ? [...state.staged, key] : state.staged
    if (isNew || staged !== state.staged) {
      const targets = isNew ? [...state.targets, key] : state.targets
      const next = { ...state, targets, staged }
      await sidecar.commit({ ...next, checkpoint: null })
      this.#state = next
    }
    const known = this.#open.get(key)
    if (known) return known
    await ensureFolder(disk, layout.version(key, writesTo(state, key)))
    const columns = this.#columnsOf(key) ?? BIZON
    const part = new OpenPart(disk, temporaryOf(this.#site, state, key, this.#commits + 1), libraries, columns)
    this.#open.set(key, part)
    return part
  }

  #columnsOf(key: string): readonly Column[] | undefined {
    return columnsFor(this.#options, (id) => this.#site.layout.isKey(id, key))
  }

  async #groupWhenFull(): Promise<void> {
    let bytes = 0
    for (const { gathering } of this.#open.values()) bytes += gathering.bytes
    if (bytes < memorySizes().gathered) return
    for (const part of this.#open.values()) await part.group()
  }

  #expand(stream: string): string {
    return this.#options.destinationId.replaceAll('{stream}', stream)
  }
}
