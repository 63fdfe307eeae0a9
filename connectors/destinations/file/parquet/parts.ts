// The parts of the run at hand: one file for each target and commit. The part of the configured target carries the
// checkpoint in its footer and gets its name last: that name is the commit. The others of the same number count with it.

import { dirname, join } from 'node:path'
import type { Checkpoint } from '../../../../lib/checkpoint.ts'
import { BizonError, messageOf } from '../../../../lib/errors.ts'
import { faultPoint } from '../../../../lib/fault.ts'
import { startingOver } from '../../../../lib/job.ts'
import { parseJson, stringifyJson } from '../../../../lib/json.ts'
import type { Json } from '../../../../lib/record.ts'
import { type Column, type Libraries, openPart, PartWriter } from '../../../parquet.ts'
import { type DiskFile, readFrom, withFile, writeAll } from '../disk.ts'
import { edited } from '../extent.ts'
import { putBack } from '../mains.ts'
import { type StoredColumn, storedColumns } from './columns.ts'
import type { PartDisk } from './disk.ts'
import { Gathering } from './rows.ts'
import { type PartRecord, type PartState, partName, partNumbers, type Site, TEMPORARY, writesTo } from './state.ts'

/** Under which the footer has what bizon wrote. */
const FOOTER = 'bizon'

/** A part that is being written, under a temporary name. */
export class OpenPart {
  readonly gathering: Gathering
  readonly #writer: PartWriter
  readonly #disk: PartDisk
  readonly #path: string
  #file: DiskFile | undefined
  #bytes = 0

  constructor(disk: PartDisk, path: string, libraries: Libraries, columns: readonly Column[]) {
    this.#disk = disk
    this.#path = path
    this.gathering = new Gathering(columns)
    this.#writer = new PartWriter(libraries, columns, 'bizon')
  }

  /** Writes what was gathered as a row group. */
  async group(): Promise<void> {
    const { rows, values } = this.gathering
    if (rows === 0) return
    const bytes = this.#writer.group(values)
    this.gathering.clear()
    await this.#write(bytes)
    faultPoint('stage.mid')
  }

  /** The footer, then sync. */
  async finish(footer: Footer): Promise<void> {
    await this.group()
    await this.#write(this.#writer.finish({ [FOOTER]: stringifyJson(footer as unknown as Json) }))
    await this.#file?.sync()
    await this.close()
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#file ??= await this.#disk.open(this.#path, 'replace')
    await writeAll(this.#file, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), this.#bytes)
    this.#bytes += bytes.length
  }
}

export function temporaryOf(site: Site, state: PartState, key: string, commit: number): string {
  return join(site.layout.version(key, writesTo(state, key)), partName(state, commit)) + TEMPORARY
}

/** Gives a finished part its name, and resolves to it. Rejects when another process has used it: then that one has taken over. */
export async function name(disk: PartDisk, temporary: string): Promise<string> {
  const path = temporary.slice(0, -TEMPORARY.length)
  if (!(await disk.link(temporary, path))) {
    throw new BizonError('fenced', `${path} is there already: another process has taken over`, {
      hint: 'Let that one finish, or run again.',
    })
  }
  await disk.remove(temporary)
  await disk.syncFolder(dirname(path))
  return path
}

/** What the footer says of a part. */
export interface Footer {
  readonly pipeline: string
  readonly source: string
  readonly stream: string
  /** As in its name. */
  readonly run: number
  readonly commit: number
  /** In the configured target's. */
  readonly checkpoint?: Checkpoint
}

export interface PartRead {
  readonly bytes: number
  readonly rows: number
  readonly columns: readonly StoredColumn[]
  readonly footer: Footer
}

/** Of a part that has its name. Rejects when it is not whole, with what to do about that. */
export async function readPart(disk: PartDisk, path: string, libraries: Libraries, hint: string): Promise<PartRead> {
  const bytes = (await disk.stat(path))?.bytes ?? 0
  try {
    const part = await withFile(disk, path, 'read', (file) =>
      openPart(libraries, bytes, (offset, length) => readFrom(file, offset, length)),
    )
    const footer = parseJson(part.metadata.get(FOOTER) ?? 'null') as unknown as Footer
    return { bytes, rows: part.rows, columns: storedColumns(part.schema), footer }
  } catch (error) {
    if (error instanceof BizonError) throw error
    throw edited(path, `it is no whole Parquet file (${messageOf(error)})`, hint)
  }
}

export interface Own {
  /** By target. */
  readonly parts: { readonly [key: string]: readonly PartRecord[] }
  /** Those of the last part, by target. */
  readonly columns: { readonly [key: string]: readonly StoredColumn[] }
  /** How many commits there are. */
  readonly commits: number
  readonly checkpoint: Checkpoint | null
}

/**
 * The run's parts, as far as they are committed: without gap from the first. What lies behind it, and what has no name yet, is
 * removed with `tidy`.
 */
export async function ownParts(site: Site, state: PartState, libraries: Libraries, tidy: boolean): Promise<Own> {
  const { disk, layout } = site
  const { mode } = state
  const hint = mode === 'stream' ? putBack(mode) : `Put it back as it was. Or remove it, and ${startingOver(mode)}.`
  const found = new Map<string, Map<number, string>>()
  for (const key of new Set([layout.target, ...state.staged])) {
    const folder = layout.version(key, writesTo(state, key))
    const own = new Map<number, string>()
    for (const name of await disk.list(folder)) {
      const numbers = partNumbers(name)
      if (numbers?.run === state.number) own.set(numbers.commit, join(folder, name))
      else if (tidy && name.endsWith(TEMPORARY)) await drop(disk, join(folder, name))
    }
    found.set(key, own)
  }
  const commits = found.get(layout.target) ?? new Map<number, string>()
  let last = 0
  let checkpoint: Checkpoint | null = null
  while (commits.has(last + 1)) last += 1
  const parts: { [key: string]: PartRecord[] } = {}
  const columns: { [key: string]: readonly StoredColumn[] } = {}
  for (const [key, own] of found) {
    parts[key] = []
    for (const [commit, path] of [...own].sort(([a], [b]) => a - b)) {
      if (commit === 0 || commit > last) {
        if (tidy) await drop(disk, path)
        continue
      }
      const { bytes, rows, columns: stored, footer } = await readPart(disk, path, libraries, hint)
      if (footer?.run !== state.number || footer.commit !== commit || footer.stream !== state.stream) {
        throw edited(path, 'its footer is of another part', hint)
      }
      parts[key].push({ name: partName(state, commit), bytes, rows })
      columns[key] = stored
      if (commit === last && key === layout.target) checkpoint = footer.checkpoint ?? null
    }
  }
  return { parts, columns, commits: last, checkpoint }
}

async function drop(disk: PartDisk, path: string): Promise<void> {
  await disk.remove(path)
  faultPoint('recover.cleanup')
}
