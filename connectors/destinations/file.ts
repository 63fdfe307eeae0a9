// NDJSON and CSV files, exactly once. Rows are staged, flushed and published as docs/delivery.md says:
//
//   write   → one buffer → staging file (in stream mode: the published one)
//   flush   → sync data → commit: rename the state file, which says which bytes count (file/sidecar.ts)
//   publish → rename over, or append with a way back (file/publish.ts)
//   open    → lock, then put right what a dead process left (file/recover.ts)

import { basename, dirname } from 'node:path'
import * as z from 'zod'
import type { Checkpoint, Receipt } from '../../lib/checkpoint.ts'
import {
  type Destination,
  type DestinationOptions,
  type DestinationPlan,
  defineDestination,
  type Run,
} from '../../lib/destination.ts'
import { BizonError } from '../../lib/errors.ts'
import { faultPoint } from '../../lib/fault.ts'
import type { Page, SyncMode } from '../../lib/source.ts'
import { holder } from '../../lib/state.ts'
import { type FileLock, lockFile } from '../lock.ts'
import { type DataFile, DataFiles, Output } from './file/data.ts'
import { type Disk, ensureFolder, realDisk, sizeOfFile, withoutSync } from './file/disk.ts'
import { type Format, formatOf, partsOf, type Rows } from './file/format.ts'
import { appendableExtent, checkFirstColumn, checkHeader } from './file/mains.ts'
import { ParquetDestination } from './file/parquet.ts'
import { Paths, shortest } from './file/paths.ts'
import { planFiles } from './file/plan.ts'
import { publish } from './file/publish.ts'
import { FileReader, scratchFiles } from './file/reader.ts'
import { recover, type Site } from './file/recover.ts'
import { type FileState, Sidecar, type StagedFile } from './file/sidecar.ts'
import { beginStaging } from './file/staging.ts'
import { STDOUT, stdoutDestination } from './file/stdout.ts'
import { METADATA } from './naming.ts'
import { isDirect, namesEmpty, VISIBILITIES, VISIBILITY_DESCRIPTION } from './recovery.ts'

const config = z.strictObject({
  format: z
    .enum(['json', 'csv', 'parquet'])
    .default('json')
    .describe(
      '`json`: one JSON object a line (NDJSON), named .json. `csv`: a header and rows, named .csv; an empty cell is null, `""` the empty text. `parquet`: a folder of files, read by `<destination_id>/current/*.parquet`; needs `npm install hyparquet hyparquet-writer`.',
    ),
  metadata: z
    .enum(METADATA)
    .default('bizon')
    .describe(
      '`bizon`: six columns, the record in `source_data`; with `unnest` none. `none`: the record alone, byte for byte as it came. `airbyte`, `dlt`: columns with the names of these programs, for models that read them; `dlt` needs `unnest`. See docs/metadata.md.',
    ),
  durability: z
    .enum(['power_loss', 'process'])
    .default('power_loss')
    .describe('What a checkpoint survives: `power_loss`, or without fsync only the end of the `process`.'),
  visibility: z.enum(VISIBILITIES).default('run').describe(`${VISIBILITY_DESCRIPTION} Not with \`format: parquet\`.`),
  on_empty: z
    .enum(['publish', 'keep'])
    .default('publish')
    .describe('A complete extract without rows: `publish` an empty file, or `keep` the one before.'),
})

export type FileOptions = z.output<typeof config> & DestinationOptions

export default defineDestination({
  summary: 'NDJSON, CSV and Parquet files, appended to or replaced exactly once; or standard output.',
  config,
  tuning: ['durability', 'on_empty'],
  ignored: { filepath: 'use destination_id', record_schema: 'use record_schemas' },
  prints: ({ destinationId }) => destinationId === STDOUT,
  shows: ({ visibility }) => visibility,
  create: (options, { stream, mode }) => {
    if (options.destinationId === STDOUT) return stdoutDestination(options)
    if (options.format === 'parquet') return new ParquetDestination(options, { stream })
    return new FileDestination(options, { stream, mode })
  },
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
  readonly #format: Format
  #lock: FileLock | undefined
  #session: { readonly output: Output; readonly rows: Rows } | undefined
  #state: FileState | undefined
  #keepsOthers = false
  #failure: { readonly error: unknown } | undefined

  /** `disk` is for tests. */
  constructor(options: FileOptions, { stream, mode }: { stream: string; mode: SyncMode }, disk: Disk = realDisk) {
    this.#options = options
    this.#stream = stream
    this.#mode = mode
    this.#format = formatOf(options)
    const paths = new Paths(this.#expand(stream), this.#format)
    const safe = options.durability === 'process' ? withoutSync(disk) : disk
    this.#site = { disk: safe, paths, sidecar: new Sidecar(safe, paths.sidecar), visibility: options.visibility }
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
      paths.claim(key, state)
      const [staging, header] = [paths.staging(key, state), paths.header(key)]
      await checkHeader(disk, staging, bytes, header)
      if (bytes > 0) await checkFirstColumn(disk, staging, paths.firstColumn)
      await this.#data.add(key, staging, bytes, false, header)
    }
    // A stream that the Python program began is gone on with where it says; it staged nothing that could be used.
    const from = state.checkpoint ?? (run.mode === 'stream' ? run.stored : undefined)
    this.#state = state
    this.#session = { output: new Output(), rows: this.#format.rows(run, from?.rows ?? 0) }
    return from
  }

  write(page: Page, signal: AbortSignal): Promise<void> {
    return this.#once(async () => {
      signal.throwIfAborted()
      const { output, rows } = this.#opened()
      const usual = this.#expand(page.stream?.name ?? this.#stream)
      const parts = partsOf(page, usual)
      if (namesEmpty(page, { keepsOthers: this.#keepsOthers, onEmpty: this.#options.on_empty })) {
        await (await this.#dataFile(usual)).append(NOTHING)
      }
      const extractedAt = page.extractedAt ?? new Date()
      const prepared = parts.map((part) => ({
        id: part.id,
        write: rows.prepare(part, this.#nameOf(part.id), extractedAt),
      }))
      for (const { id, write } of prepared) {
        signal.throwIfAborted()
        await output.to(await this.#dataFile(id))
        await write(output)
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
      const files: Record<string, StagedFile> = { ...state.files }
      for (const [key, extent] of Object.entries(this.#data.extents())) {
        const mainBefore = files[key]?.mainBefore
        files[key] = { ...extent, ...(mainBefore !== undefined && { mainBefore }) }
      }
      await this.#commit({ ...state, checkpoint, files })
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
    if (this.#mode !== 'full_refresh' && (await disk.stat(main))) {
      await disk.checkWritable(main)
      await checkFirstColumn(disk, main, paths.firstColumn)
    }
    let folder = paths.folder
    while (!(await disk.stat(folder))) folder = dirname(folder)
    if ((await disk.stat(folder))?.kind !== 'folder') {
      throw new BizonError('destination', `cannot create ${main}: ${folder} is a file, not a folder`, {
        hint: 'Choose another destination_id.',
      })
    }
    await disk.checkWritable(folder)
  }

  plan(run: Run): Promise<DestinationPlan> {
    return planFiles(this.#site, run, { onEmpty: this.#options.on_empty, shown: shortest })
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
    return [...modes.map((mode) => paths.staging(target, { mode })), paths.sidecar, paths.lock]
  }

  #opened(): { state: FileState; output: Output; rows: Rows } {
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

  #nameOf(id: string): string {
    const { paths } = this.#site
    return shortest(paths.main(paths.key(id)))
  }

  async #dataFile(id: string): Promise<DataFile> {
    const { disk, paths } = this.#site
    const key = paths.key(id)
    const known = this.#data.get(key)
    if (known) return known
    const { state } = this.#opened()
    if (state.phase !== 'staging') throw new BizonError('internal', 'a published run was written to')
    const path = paths.staging(key, state)
    paths.claim(key, state)
    await ensureFolder(disk, dirname(path))
    if (!isDirect(state)) {
      this.#state = await beginStaging(this.#site, state, [key])
      return this.#data.add(key, path, 0, true, paths.header(key))
    }
    // Rows go straight behind what is there already: how much that is must be durable before the first of them.
    const extent = await appendableExtent(this.#site, state, key)
    const file = state.direct ? { ...extent, mainBefore: extent.bytes } : extent
    await this.#commit({ ...state, files: { ...state.files, [key]: file } })
    return this.#data.add(key, path, extent.bytes, true, paths.header(key))
  }

  #expand(stream: string): string {
    return this.#options.destinationId.replaceAll('{stream}', stream)
  }
}
