// The state file beside the output: which bytes of which files count, and the checkpoint they reach to. Renaming a
// new one over the old is THE commit: one atomic step for all files of a run and the position together.

import { createHash } from 'node:crypto'
import { basename, dirname } from 'node:path'
import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { parseJson, stringifyJson } from '../../../lib/json.ts'
import type { Json } from '../../../lib/record.ts'
import { type Held, refuseNewer } from '../recovery.ts'
import { type Disk, readFrom, sizeOfFile, withFile, writeAll } from './disk.ts'
import type { Extent } from './extent.ts'

export interface FileState extends Held {
  readonly format: 1
  /** What the run has written, by id: in staging files, or in stream mode in the published ones. */
  readonly files: { readonly [key: string]: StagedFile }
  /** Ids of further files that are being staged, perhaps; the configured target's always may be. */
  readonly begun: readonly string[]
  /** The published files as the last publish left them. */
  readonly published: { readonly [key: string]: Extent }
}

/** As the first versions wrote it. */
type FirstState = Omit<FileState, 'previous' | 'publishedBy' | 'begun'> & Partial<FileState>

export interface StagedFile extends Extent {
  /** Where rows are added: where the published file ended before, and is cut to if the run is given up. */
  readonly mainBefore?: number
  /** What it begins with, if it is no row: nothing that has other columns is put behind it. */
  readonly header?: string
}

export const REMOVING = 'move the file away'

export class Sidecar<State extends Held & { readonly format: 1 } = FileState> {
  readonly path: string
  readonly #disk: Disk
  /** Whose the last commit of this process is. */
  #claim: Pick<Held, 'run' | 'epoch'> | undefined

  constructor(disk: Disk, path: string) {
    this.#disk = disk
    this.path = path
  }

  /** The last commit; undefined when there has been none. A damaged file is an error, never a fresh start. */
  async read(): Promise<State | undefined> {
    if (!(await this.#disk.stat(this.path))) return undefined
    const length = await sizeOfFile(this.#disk, this.path)
    const text = await withFile(this.#disk, this.path, 'read', (file) => readFrom(file, 0, length))
    return parse(text.toString(), this.path) as unknown as State
  }

  /** Commits. Refuses, changing nothing, when another process has taken over. The first commit is the claim. */
  async commit(state: State): Promise<void> {
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

  /** Refuses when another process has taken over since the last commit. */
  async confirm(state: State): Promise<void> {
    this.#checkOwner(state, await this.read())
  }

  #checkOwner(mine: Held, found: Held | undefined): void {
    if (found) refuseNewer(found, mine, { state: this.path, removing: REMOVING })
    if (this.#claim && (found?.run !== this.#claim.run || found.epoch !== this.#claim.epoch)) {
      throw new BizonError('edited', `${this.path} was removed or replaced while this run was writing`, {
        hint: 'Leave the file where it is while a pipeline runs; then run again.',
      })
    }
  }
}

/** One line of JSON whose last member is the SHA-256 of the others. */
function print(state: Held): string {
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
