// NDJSON files, exactly once. Rows are staged, flushed and published as docs/delivery.md says:
//
//   write   → one buffer → staging file (in stream mode: the published one)
//   flush   → sync data → commit: rename the state file, which says which bytes count (file/sidecar.ts)
//   publish → rename over, or append with a way back (file/publish.ts)
//   open    → lock, then put right what a dead process left (file/recover.ts)

import { basename, dirname, relative, resolve, sep } from 'node:path'
import * as z from 'zod'
import type { Checkpoint, Receipt } from '../../lib/checkpoint.ts'
import { type Destination, type DestinationOptions, defineDestination, type Run } from '../../lib/destination.ts'
import { BizonError } from '../../lib/errors.ts'
import { faultPoint } from '../../lib/fault.ts'
import type { SourceRecord } from '../../lib/record.ts'
import type { Page, SyncMode } from '../../lib/source.ts'
import { holder } from '../../lib/state.ts'
import { type FileLock, lockFile } from '../lock.ts'
import { Columns, schemaFor } from './file/columns.ts'
import { type DataFile, DataFiles, Output } from './file/data.ts'
import { type Disk, ensureFolder, realDisk, sizeOfFile, withoutSync } from './file/disk.ts'
import { appendableExtent } from './file/mains.ts'
import { Paths } from './file/paths.ts'
import { publish } from './file/publish.ts'
import { FileReader, scratchFiles } from './file/reader.ts'
import { recover, type Site } from './file/recover.ts'
import { BizonRows, writePlain } from './file/rows.ts'
import { type FileState, Sidecar } from './file/sidecar.ts'
import { beginStaging } from './file/staging.ts'
import { STDOUT, stdoutDestination } from './file/stdout.ts'

const config = z.strictObject({
  format: z.literal('json').default('json').describe('`json`: one JSON object a line (NDJSON), named .json.'),
  metadata: z
    .enum(['bizon', 'none'])
    .default('bizon')
    .describe('`bizon`: six columns, the record in `source_data`. `none`: the record alone, byte for byte as it came.'),
  durability: z
    .enum(['power_loss', 'process'])
    .default('power_loss')
    .describe('What a checkpoint survives: `power_loss`, or without fsync only the end of the `process`.'),
  on_empty: z
    .enum(['publish', 'keep'])
    .default('publish')
    .describe('A complete extract without rows: `publish` an empty file, or `keep` the one before.'),
})

export type FileOptions = z.output<typeof config> & DestinationOptions

export default defineDestination({
  summary: 'NDJSON files, appended to or replaced exactly once; or standard output.',
  config,
  tuning: ['durability', 'on_empty'],
  ignored: { filepath: 'use destination_id', record_schema: 'use record_schemas' },
  prints: ({ destinationId }) => destinationId === STDOUT,
  create: (options, { stream, mode }) =>
    options.destinationId === STDOUT ? stdoutDestination(options) : new FileDestination(options, { stream, mode }),
  reader: (options) => new FileReader(options),
  scratch: scratchFiles,
})

const NOTHING = Buffer.alloc(0)

export class FileDestination implements Destination {
  readonly #options: FileOptions
  readonly #stream: string
  readonly #mode: SyncMode
  readonly #site: Site
  readonly #data: DataFiles
  /** By destination id. */
  readonly #columns = new Map<string, Columns>()
  #lock: FileLock | undefined
  #session: { readonly output: Output; readonly rows: BizonRows } | undefined
  #state: FileState | undefined
  #keepsOthers = false
  #failure: { readonly error: unknown } | undefined

  /** `disk` is for tests. */
  constructor(options: FileOptions, { stream, mode }: { stream: string; mode: SyncMode }, disk: Disk = realDisk) {
    this.#options = options
    this.#stream = stream
    this.#mode = mode
    const paths = new Paths(this.#expand(stream))
    const safe = options.durability === 'process' ? withoutSync(disk) : disk
    this.#site = { disk: safe, paths, sidecar: new Sidecar(safe, paths.sidecar) }
    this.#data = new DataFiles(safe)
  }

  async open(run: Run, signal: AbortSignal): Promise<Checkpoint | undefined> {
    signal.throwIfAborted()
    const { disk, paths } = this.#site
    await ensureFolder(disk, paths.folder)
    this.#lock = await lockFile(paths.lock, holder(), { code: 'destination' })
    this.#keepsOthers = run.keepsOthers ?? false
    const state = await recover(this.#site, run)
    for (const [key, { bytes }] of Object.entries(state.phase === 'staging' ? state.files : {})) {
      paths.claim(key, state.mode)
      await this.#data.add(key, paths.staging(key, state.mode), bytes, false)
    }
    // A stream that the Python program began is gone on with where it says; it staged nothing that could be used.
    const from = state.checkpoint ?? (run.mode === 'stream' ? run.stored : undefined)
    this.#state = state
    this.#session = { output: new Output(), rows: new BizonRows(run, from?.rows ?? 0) }
    return from
  }

  write(page: Page, signal: AbortSignal): Promise<void> {
    return this.#once(async () => {
      signal.throwIfAborted()
      const { output, rows } = this.#opened()
      const parts = this.#route(page)
      if (page.stream && page.records.length === 0 && this.#keepsOthers) {
        await (await this.#dataFile(this.#expand(page.stream.name))).append(NOTHING)
      }
      const lines = this.#options.unnest ? parts.map((part) => this.#columnsOf(part)) : parts
      for (const { id, records } of lines) {
        signal.throwIfAborted()
        await output.to(await this.#dataFile(id))
        if (this.#options.unnest || this.#options.metadata === 'none') await writePlain(records, output)
        else await rows.write(records, page.extractedAt ?? new Date(), output)
      }
    })
  }

  flush(checkpoint: Checkpoint): Promise<Receipt | undefined> {
    return this.#once(async () => {
      const { output, state } = this.#opened()
      await output.drain()
      faultPoint('stage.after')
      faultPoint('fsync.before')
      await this.#data.sync()
      faultPoint('fsync.after')
      await this.#commit({ ...state, checkpoint, files: { ...state.files, ...this.#data.extents() } })
      // Says that there is a state file to be found: its absence is then an accident, not a fresh start.
      return { state: basename(this.#site.paths.sidecar) }
    })
  }

  publish(): Promise<void> {
    return this.#once(async () => {
      const { state } = this.#opened()
      if (!state.checkpoint?.end) throw new BizonError('internal', 'publish was called before the end was flushed')
      await this.#data.close()
      this.#state = await publish(this.#site, state, {
        onEmpty: this.#options.on_empty,
        keepsOthers: this.#keepsOthers,
      })
    })
  }

  async close(): Promise<void> {
    const lock = this.#lock
    this.#lock = undefined
    this.#session = undefined
    try {
      await this.#data.close()
    } finally {
      await lock?.release()
    }
  }

  async check(): Promise<void> {
    const { disk, paths } = this.#site
    const main = paths.main(paths.target)
    await sizeOfFile(disk, main)
    if (this.#mode !== 'full_refresh' && (await disk.stat(main))) await disk.checkWritable(main)
    let folder = paths.folder
    while (!(await disk.stat(folder))) folder = dirname(folder)
    if ((await disk.stat(folder))?.kind !== 'folder') {
      throw new BizonError('destination', `cannot create ${main}: ${folder} is a file, not a folder`, {
        hint: 'Choose another destination_id.',
      })
    }
    await disk.checkWritable(folder)
  }

  outputs(): readonly string[] {
    const { paths } = this.#site
    const state = this.#state
    if (!state) return []
    const written = Object.keys(state.files)
    const keys = written.length > 0 || !(paths.target in state.published) ? written : [paths.target]
    return keys.map((key) => shortest(paths.main(key)))
  }

  occupies(): readonly string[] {
    const { paths } = this.#site
    const { target } = paths
    const modes = ['stream', 'full_refresh', 'incremental'] as const
    return [...modes.map((mode) => paths.staging(target, mode)), paths.sidecar, paths.lock]
  }

  #opened(): { state: FileState; output: Output; rows: BizonRows } {
    if (this.#state && this.#session) return { state: this.#state, ...this.#session }
    throw new BizonError('internal', 'the file destination is not open')
  }

  /**
   * After a failure nothing is known of what the buffer and the files hold: later calls fail with the same error, and
   * only the next `open` finds out. A failed fsync above all must not be tried again.
   */
  async #once<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failure) throw this.#failure.error
    try {
      return await work()
    } catch (error) {
      this.#failure = { error }
      throw error
    }
  }

  async #commit(state: FileState): Promise<void> {
    await this.#site.sidecar.commit(state)
    this.#state = state
  }

  /** A page's records by the id of their destination. One part, without a copy, as a rule. */
  #route(page: Page): Part[] {
    const usual = this.#expand(page.stream?.name ?? this.#stream)
    const { records } = page
    if (records.length === 0) return []
    const first = records[0]?.destinationId
    if (records.every((record) => record.destinationId === first)) return [{ id: first ?? usual, records }]
    const parts = new Map<string, SourceRecord[]>()
    for (const record of records) {
      const id = record.destinationId ?? usual
      const part = parts.get(id)
      if (part) part.push(record)
      else parts.set(id, [record])
    }
    return [...parts].map(([id, of]) => ({ id, records: of }))
  }

  #columnsOf({ id, records }: Part): Part {
    let columns = this.#columns.get(id)
    if (!columns) {
      columns = new Columns(schemaFor(this.#options.recordSchemas, id))
      this.#columns.set(id, columns)
    }
    return { id, records: columns.apply(records, shortest(this.#site.paths.main(this.#site.paths.key(id)))) }
  }

  async #dataFile(id: string): Promise<DataFile> {
    const { disk, paths } = this.#site
    const key = paths.key(id)
    const known = this.#data.get(key)
    if (known) return known
    const { state } = this.#opened()
    if (state.phase !== 'staging') throw new BizonError('internal', 'a published run was written to')
    const path = paths.staging(key, state.mode)
    paths.claim(key, state.mode)
    await ensureFolder(disk, dirname(path))
    if (state.mode !== 'stream') {
      this.#state = await beginStaging(this.#site, state, [key])
      return this.#data.add(key, path, 0, true)
    }
    // Rows go straight behind what is there already: how much that is must be durable before the first of them.
    const extent = await appendableExtent(this.#site, state, key)
    await this.#commit({ ...state, files: { ...state.files, [key]: extent } })
    return this.#data.add(key, path, extent.bytes, true)
  }

  #expand(stream: string): string {
    return this.#options.destinationId.replaceAll('{stream}', stream)
  }
}

interface Part {
  readonly id: string
  readonly records: readonly SourceRecord[]
}

/** Relative to the working directory, unless that means climbing out of it. */
function shortest(path: string): string {
  const way = relative('', resolve(path))
  return way.startsWith(`..${sep}`) ? path : way
}
