// Where the parts of one pipeline target are, and what the state file beside them says. Each target is a folder, all of it
// this pipeline's:
//
//   out/.events.parquet.state.json     who writes here, and what is published
//   out/events/current                 a symbolic link to the published version: what readers see
//   out/events/.run-1795687595069/          a version, or one in the making: its parts, and a manifest once it is published
//            part-1795687595069-00000001.parquet    the number of the run, and of the commit in it

import { basename, join, relative, resolve } from 'node:path'
import type { Held } from '../../recovery.ts'
import { Paths } from '../paths.ts'
import type { Sidecar } from '../sidecar.ts'
import type { PartDisk } from './disk.ts'

export interface PartState extends Held {
  readonly format: 1
  /** The epoch in which the run began: no other run of the target has it. */
  readonly number: number
  /** Ids of the targets whose folders are this pipeline's. */
  readonly targets: readonly string[]
  /** Those that the run has written to, perhaps. */
  readonly staged: readonly string[]
  /** What readers see, by id; of a stream, what they saw before it. */
  readonly published: { readonly [key: string]: Version }
  /** While publishing: what they will see. */
  readonly next: { readonly [key: string]: Version }
  /** Folders of the versions before, in which somebody may still be reading. */
  readonly before: { readonly [key: string]: string }
}

/** A complete content of a target. */
export interface Version {
  readonly folder: string
  readonly parts: readonly PartRecord[]
  /** SHA-256 of the manifest; absent: a stream has added to it. */
  readonly manifest?: string
}

export interface PartRecord {
  readonly name: string
  readonly bytes: number
  readonly rows: number
}

/** Everything that recovering and publishing work on. */
export interface Site {
  readonly disk: PartDisk
  readonly layout: Layout
  readonly sidecar: Sidecar<PartState>
}

export const MANIFEST = '_manifest.json'

export class Layout {
  readonly #paths: Paths

  /** `destinationId` is the configured one, with `{stream}` filled in. */
  constructor(destinationId: string) {
    this.#paths = new Paths(destinationId, { extension: '', label: '.parquet', header: () => Buffer.alloc(0) })
  }

  get folder(): string {
    return this.#paths.folder
  }

  get target(): string {
    return this.#paths.target
  }

  get sidecar(): string {
    return this.#paths.sidecar
  }

  get lock(): string {
    return this.#paths.lock
  }

  key(destinationId: string): string {
    return this.#paths.key(destinationId)
  }

  /** Whether a destination id names the target. */
  isKey(destinationId: string, key: string): boolean {
    return relative(this.folder, resolve(destinationId)) === key
  }

  /** The folder of a target. */
  home(key: string): string {
    return join(this.folder, key)
  }

  current(key: string): string {
    return join(this.folder, key, 'current')
  }

  version(key: string, folder: string): string {
    return join(this.folder, key, folder)
  }
}

/** Epochs are milliseconds: so many digits keep names in the order of the runs. */
const digits = (number: number, count = 13): string => String(number).padStart(count, '0')

export function folderOf({ number }: Pick<PartState, 'number'>): string {
  return `.run-${digits(number)}`
}

/** Where the run's parts go: in mode `stream` beside those that are published already. */
export function writesTo(state: PartState, key: string): string {
  return (state.mode === 'stream' && state.published[key]?.folder) || folderOf(state)
}

export function isFolder(name: string): boolean {
  return /^\.run-\d{13,}$/.test(name)
}

/** `commit`: from 1; 0 is a part without rows that was written while publishing. */
export function partName({ number }: Pick<PartState, 'number'>, commit: number): string {
  return `part-${digits(number)}-${digits(commit, 8)}.parquet`
}

/** The numbers in a part's name; undefined: it is none. */
export function partNumbers(path: string): { readonly run: number; readonly commit: number } | undefined {
  const match = /^part-(\d{13,})-(\d{8,})\.parquet$/.exec(basename(path))
  return match ? { run: Number(match[1]), commit: Number(match[2]) } : undefined
}

export const TEMPORARY = '.tmp'
