// A scratch folder with a state and targets of its own: what one trial of `bizon chaos` runs in, and how it is looked at.

import { copyFile, cp, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Keeps, openReader, type Scratch, targetOf } from '../audit/reader.ts'
import { type ConfigOverrides, loadConfig, type PipelineConfig } from '../config.ts'
import { identityOf } from '../run.ts'
import { type Content, contentOf, type Losses, lossesOf } from './content.ts'

/** In the place of the usual target's id, which is another one in each folder. */
const USUAL = ''

export class Place {
  readonly folder: string
  /** The user's, but for where it writes. */
  readonly config: PipelineConfig
  /** The run that was done before the one that is tried. */
  #previous: string | undefined

  private constructor(folder: string, config: PipelineConfig) {
    this.folder = folder
    this.config = config
  }

  /** `like`: with all that another one has in its folder. */
  static async make(
    folder: string,
    file: string,
    { overrides, like }: { readonly overrides: ConfigOverrides; readonly like?: Place | undefined },
  ): Promise<Place> {
    if (like?.kept === 'folder') await cp(like.folder, folder, { recursive: true, verbatimSymlinks: true })
    else await mkdir(folder)
    return new Place(folder, await loadConfig(file, ['source', 'destination'], { ...overrides, scratch: folder }))
  }

  /** See `Scratch.kept`. */
  get kept(): Scratch['kept'] {
    return this.#scratch?.kept
  }

  get keeps(): Keeps {
    return openReader(this.config).keeps
  }

  /** What the run that has succeeded here says of itself: its rows, and its targets by names that are good in every place. */
  async loaded(): Promise<{ readonly rows: number; readonly targets: readonly string[] }> {
    const { backend } = this.config.engine
    const store = backend.definition.create(backend)
    try {
      await store.open()
      const job = await store.lastSucceeded(identityOf(this.config))
      const end = job && (await store.lastCheckpoint(job))
      const tables = end?.tally?.tables
      const targets = tables ? Object.keys(tables).map((id) => (id === this.#usual ? USUAL : id)) : [USUAL]
      return { rows: end?.rows ?? 0, targets }
    } finally {
      await store.close()
    }
  }

  /** What is done here now was done before the run that is tried. */
  async begin(): Promise<void> {
    this.#previous = await this.#lastDone()
  }

  /** Whether the run counts as done for all that: then the next one is another. */
  async isDone(): Promise<boolean> {
    return (await this.#lastDone()) !== this.#previous
  }

  async content(targets: readonly string[], signal: AbortSignal): Promise<Content> {
    const reader = openReader(this.config)
    try {
      return await contentOf(reader, this.#idsOf(targets), signal)
    } finally {
      await reader.close()
    }
  }

  /** What is missing here of the right place, there too often, or not as it is there. */
  async losses(right: Place, targets: readonly string[], signal: AbortSignal): Promise<Losses> {
    const [theirs, own] = [openReader(right.config), openReader(this.config)]
    try {
      const [one, other] = [right.#idsOf(targets), this.#idsOf(targets)]
      return await lossesOf({ reader: theirs, ids: one }, { reader: own, ids: other }, signal)
    } finally {
      await theirs.close()
      await own.close()
    }
  }

  /** Bytes of the largest file that was written, but for the state. */
  async largest(): Promise<number> {
    const files = await readdir(this.folder, { recursive: true, withFileTypes: true })
    const written = files.filter((file) => file.isFile() && !file.name.startsWith('state.'))
    const sizes = await Promise.all(
      written.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size),
    )
    return Math.max(0, ...sizes)
  }

  /** Of the folder, and of what is elsewhere. */
  async remove(): Promise<void> {
    await this.#scratch?.remove()
    await rm(this.folder, { recursive: true, force: true })
  }

  /** A copy is asked: what a dead process left is the next one's to put right. */
  async #lastDone(): Promise<string | undefined> {
    const { config, folder } = this
    const copy = await mkdtemp(`${folder}_look-`)
    for (const name of await readdir(folder)) {
      if (name.startsWith('state.sqlite3') && !name.endsWith('.lock'))
        await copyFile(join(folder, name), join(copy, name))
    }
    const { backend } = config.engine
    const store = backend.definition.create({ ...backend, database: join(copy, 'state') })
    try {
      await store.open()
      return (await store.lastSucceeded(identityOf(config)))?.id
    } finally {
      await store.close()
      await rm(copy, { recursive: true, force: true })
    }
  }

  get #scratch(): Scratch | undefined {
    const { definition, options } = this.config.destination
    return definition.scratch?.(options, this.folder)
  }

  get #usual(): string {
    return targetOf(this.config.destination.options, this.config.source.stream)
  }

  /** The usual target has its name by the config; others have theirs by their records. */
  #idsOf(targets: readonly string[]): string[] {
    const scratch = this.#scratch
    return targets.map((id) => (id === USUAL ? this.#usual : (scratch?.idOf(id) ?? id)))
  }
}
