// The state file beside the output: which bytes of which files count, and the checkpoint they reach to. Renaming a
// new one over the old is THE commit: one atomic step for all files of a run and the position together.

import { createHash } from 'node:crypto'
import { basename, dirname } from 'node:path'
import type { Checkpoint } from '../../../lib/checkpoint.ts'
import type { Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { parseJson, stringifyJson } from '../../../lib/json.ts'
import type { Json } from '../../../lib/record.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { type Disk, readFrom, sizeOfFile, withFile, writeAll } from './disk.ts'
import type { Extent } from './extent.ts'

export interface FileState {
  readonly format: 1
  readonly pipeline: string
  readonly source: string
  readonly stream: string
  readonly run: string
  readonly epoch: number
  readonly mode: SyncMode
  /** Whether publishing replaces; see `Run`. */
  readonly complete: boolean
  /** The run whose watermark it starts from; see `Run`. */
  readonly previous: string | null
  /** `publishing`: decided, perhaps half done; only ever completed, or rolled back by another run. */
  readonly phase: 'staging' | 'publishing' | 'published'
  readonly checkpoint: Checkpoint | null
  /** What the run has written, by id: in staging files, or in stream mode in the published ones. */
  readonly files: { readonly [key: string]: StagedFile }
  /** Ids of further files that are being staged, perhaps; the configured target's always may be. */
  readonly begun: readonly string[]
  /** The published files as the last publish left them. */
  readonly published: { readonly [key: string]: Extent }
  /** The run of that last publish; null: not known. */
  readonly publishedBy: string | null
}

/** As the first versions wrote it. */
type FirstState = Omit<FileState, 'previous' | 'publishedBy' | 'begun'> & Partial<FileState>

export interface StagedFile extends Extent {
  /** While appending: where the published file ended before, and is cut to if the run is given up. */
  readonly mainBefore?: number
}

/** Whether publishing puts the staged file in the place of the published one, rather than at its end. */
export function replaces({ mode, complete }: Pick<FileState, 'mode' | 'complete'>): boolean {
  return mode === 'full_refresh' || (mode === 'incremental' && complete)
}

export class Sidecar {
  readonly path: string
  readonly #disk: Disk
  /** Whose the last commit of this process is. */
  #claim: Pick<FileState, 'run' | 'epoch'> | undefined

  constructor(disk: Disk, path: string) {
    this.#disk = disk
    this.path = path
  }

  /** The last commit; undefined when there has been none. A damaged file is an error, never a fresh start. */
  async read(): Promise<FileState | undefined> {
    if (!(await this.#disk.stat(this.path))) return undefined
    const length = await sizeOfFile(this.#disk, this.path)
    const text = await withFile(this.#disk, this.path, 'read', (file) => readFrom(file, 0, length))
    return parse(text.toString(), this.path)
  }

  /** Commits. Refuses, changing nothing, when another process has taken over. The first commit is the claim. */
  async commit(state: FileState): Promise<void> {
    this.#checkOwner(state, await this.read())
    faultPoint('commit.before')
    const temporary = `${this.path}.tmp`
    // One that a process asleep on another host has open must not become ours: it would write into it on waking up.
    if (!this.#claim) await this.#disk.remove(temporary)
    await withFile(this.#disk, temporary, 'replace', async (file) => {
      await writeAll(file, Buffer.from(print(state)), 0)
      await file.sync()
    })
    faultPoint('commit.mid')
    // Once more, as late as can be: this process may have been asleep since.
    this.#checkOwner(state, await this.read())
    await this.#disk.rename(temporary, this.path)
    await this.#disk.syncFolder(dirname(this.path))
    this.#claim = { run: state.run, epoch: state.epoch }
    faultPoint('commit.after')
  }

  #checkOwner(mine: FileState, found: FileState | undefined): void {
    if (found) refuseNewer(found, mine, this.path)
    if (this.#claim && (found?.run !== this.#claim.run || found.epoch !== this.#claim.epoch)) {
      throw new BizonError('edited', `${this.path} was removed or replaced while this run was writing`, {
        hint: 'Leave the file where it is while a pipeline runs; then run again.',
      })
    }
  }
}

/** Whether the state is of this pipeline, and no newer process has it. */
export function checkIdentity(found: FileState, run: Run, path: string): void {
  const theirs = `${found.pipeline}/${found.source}/${found.stream}`
  const ours = `${run.pipeline}/${run.source}/${run.stream}`
  if (theirs !== ours) {
    throw new BizonError('edited', `${path} belongs to pipeline ${theirs}, not to ${ours}`, {
      hint: 'Choose another destination_id, or move that file and the output beside it away.',
    })
  }
  refuseNewer(found, run, path)
}

function refuseNewer(found: FileState, mine: { readonly epoch: number }, path: string): void {
  if (found.epoch <= mine.epoch) return
  throw new BizonError('fenced', `${path}: a newer process (epoch ${found.epoch}, mine ${mine.epoch}) has taken over`, {
    hint: 'Let the newer one finish. If there is none, the state store was set back: restore it, or move the file away.',
  })
}

/** One line of JSON whose last member is the SHA-256 of the others. */
function print(state: FileState): string {
  const body = stringifyJson(state as unknown as Json)
  return `${body.slice(0, -1)},"sha256":"${sha256(body)}"}\n`
}

function parse(text: string, path: string): FileState {
  const match = /^(\{.*),"sha256":"([0-9a-f]{64})"\}\n$/s.exec(text)
  const body = match && `${match[1]}}`
  if (!body || sha256(body) !== match[2]) {
    throw new BizonError('edited', `${path} is damaged: it is not as this program wrote it`, {
      hint: `Restore it from a copy. Or move ${basename(path)} and the output away, and fetch everything again: incremental with --reset, else with source.force_ignore_checkpoint: true.`,
    })
  }
  const state: FileState = {
    previous: null,
    publishedBy: null,
    begun: [],
    ...(parseJson(body) as unknown as FirstState),
  }
  if (state.format !== 1) {
    throw new BizonError('edited', `${path} has format ${state.format}, and this version of bizon knows format 1`, {
      hint: 'Run it with the version of bizon that wrote it, or a newer one.',
    })
  }
  return state
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
