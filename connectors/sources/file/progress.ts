// How far each file is read. The same map of files is the position to resume at and the watermark of the next
// incremental run: both mean "go on behind this, and read what is not in the map from its start".

import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import * as z from 'zod'
import { BizonError } from '../../../lib/errors.ts'
import type { Json } from '../../../lib/record.ts'
import type { Position, Start } from '../../../lib/source.ts'
import { IDENTITY, type Identity } from './identity.ts'

/** Where the next record of a file starts, and how to tell on a resume that the file is still the one that was read. */
export interface Place {
  /** Bytes before it, of the file as unpacked. */
  readonly offset: number
  /** Lines before it; in a JSON file: records. */
  readonly line: number
  /** Hash of the bytes just before the offset, at most TAIL_BYTES of them. */
  readonly tail: string
  /** Of a regular file, when it was opened to be read up to here. */
  readonly file?: Identity | undefined
}

export const TAIL_BYTES = 256
export const START: Place = { offset: 0, line: 0, tail: '' }

const place = z.strictObject({
  offset: z.int().min(0),
  line: z.int().min(0),
  tail: z.string(),
  file: z.string().regex(IDENTITY).optional(),
})
const places = z.record(z.string(), place)
const positionShape = z.strictObject({ files: places, current: z.string().optional() })

export class Progress {
  #places: Map<string, Place>
  #current: string | undefined

  constructor({ position, since }: Start) {
    const start = position ?? since?.value
    if (start === undefined && since !== undefined) throw unknownStart('the last run left no file positions')
    const parsed = positionShape.safeParse(start ?? { files: {} })
    if (!parsed.success) throw unknownStart('what is stored is not a position of the file source')
    this.#places = new Map(Object.entries(parsed.data.files))
    this.#current = position === undefined ? undefined : parsed.data.current
  }

  /** The file that was being read at the position this read started from. */
  get startedIn(): string | undefined {
    return this.#current
  }

  at(path: string): Place {
    return this.#places.get(path) ?? START
  }

  move(path: string, place: Place): void {
    this.#places.set(path, place)
    this.#current = path
  }

  /** What the file system says of the file now; it is known to be the one that was read. */
  identify(path: string, file: Identity | undefined): void {
    const place = this.#places.get(path)
    if (place !== undefined && file !== undefined) this.#places.set(path, { ...place, file })
  }

  get places(): ReadonlyMap<string, Place> {
    return this.#places
  }

  /** Takes over these spellings for files that are known by others, such as `./a` for `a`. */
  respell(paths: readonly string[]): void {
    const known = new Map([...this.#places.keys()].map((path) => [resolve(path), path]))
    const moves = paths.flatMap((path): [string, string][] => {
      const from = known.get(resolve(path))
      return from === undefined || from === path || this.#places.has(path) ? [] : [[from, path]]
    })
    this.rename(moves)
  }

  /** Files have other names now. All at once, since one may have got the old name of another. */
  rename(moves: readonly (readonly [from: string, to: string])[]): void {
    const current = this.#current
    const moved = moves.map(([from, to]) => [to, this.at(from)] as const)
    for (const [from] of moves) this.#places.delete(from)
    for (const [to, place] of moved) this.#places.set(to, place)
    this.#current = moves.find(([from]) => from === current)?.[1] ?? current
  }

  /** Forgets the files that are not among these. */
  keep(paths: readonly string[]): void {
    const kept = new Set(paths)
    this.#places = new Map([...this.#places].filter(([path]) => kept.has(path)))
  }

  /** Where to resume. */
  get position(): Position {
    return { files: this.#files, ...(this.#current !== undefined && { current: this.#current }) }
  }

  /** What the next incremental run starts from. */
  get watermark(): Json {
    return { files: this.#files }
  }

  get #files(): Json {
    // A copy, and without what is undefined: the map goes on changing.
    const files = [...this.#places].map(([path, { file, ...place }]) => [path, { ...place, ...(file && { file }) }])
    return Object.fromEntries(files) as Json
  }
}

/** The last bytes that were read of a file, for the `tail` of its place. */
export class Tail {
  #bytes: Buffer

  constructor(before: Buffer) {
    this.#bytes = before
  }

  get byte(): number | undefined {
    return this.#bytes.at(-1)
  }

  push(bytes: Buffer): void {
    const all = bytes.length >= TAIL_BYTES ? bytes : Buffer.concat([this.#bytes, bytes])
    this.#bytes = Buffer.from(all.subarray(Math.max(0, all.length - TAIL_BYTES)))
  }

  get hash(): string {
    return createHash('sha256').update(this.#bytes).digest('hex').slice(0, 16)
  }
}

export type Resumption = 'resume' | 'increment'

const HINTS = {
  resume: 'Put the file back, or start over with source.force_ignore_checkpoint: true.',
  increment: 'Only what is added to a file can be read by itself; load everything again with --reset.',
  // Put back, it would still be another file.
  replaced: 'Start over with source.force_ignore_checkpoint: true.',
}

/** The file is not the one that the position was in. */
export function changedFile(path: string, what: string, kind: keyof typeof HINTS): BizonError {
  return new BizonError('source', `${path} ${what}, so that nobody knows where to go on in it`, { hint: HINTS[kind] })
}

function unknownStart(why: string): BizonError {
  return new BizonError('source', `cannot tell where to go on: ${why}`, {
    hint: 'Load everything again: with --reset, or source.force_ignore_checkpoint: true.',
  })
}
