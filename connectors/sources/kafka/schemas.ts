// Schemas that were asked for: each is fetched once, and made into a reader of its bytes.

import { BizonError, messageOf } from '../../../lib/errors.ts'
import { loadAvro, type ParseAvro, UnknownType } from '../../avro.ts'
import { avroReader, type ReadAvro } from './avro/reader.ts'
import type { Registered, Registry } from './registry.ts'
import { Undecodable } from './undecodable.ts'

export interface Schema {
  readonly read: ReadAvro
  /** JSON text on one line. */
  readonly text: Buffer
}

/** So many are kept; of those that were not used for longest the oldest goes. */
const MOST_SCHEMAS = 1000
/** After so long an id that the registry did not know is asked for again. Milliseconds. */
const UNKNOWN_FOR = 30_000

type Found = Schema | { readonly problem: Undecodable; readonly until: number }

export class Schemas {
  readonly #registry: Registry
  readonly #found = new Map<string, Found>()
  readonly #now: () => number
  #parse: ParseAvro | undefined

  constructor(registry: Registry, now: () => number = Date.now) {
    this.#registry = registry
    this.#now = now
  }

  /** Rejects when a package is missing. */
  async open(): Promise<void> {
    this.#parse ??= await loadAvro('source')
  }

  /** The schema of an id that is `known`. Throws `Undecodable` if there is none. */
  get(id: string): Schema {
    const found = this.#found.get(id)
    if (found === undefined) throw new Error(`schema ${id} was not loaded`)
    if ('problem' in found) throw found.problem
    return found
  }

  /** Whether `get` can tell; else `load` comes first. */
  known(id: string): boolean {
    const found = this.#found.get(id)
    if (found === undefined) return false
    if ('problem' in found) return found.until > this.#now()
    this.#found.delete(id)
    this.#found.set(id, found)
    return true
  }

  /** Asks the registry. Rejects with a BizonError when that does not answer. */
  async load(id: string, signal: AbortSignal): Promise<void> {
    let found: Found
    try {
      found = await this.#schema(id, signal)
    } catch (error) {
      if (!(error instanceof Undecodable)) throw error
      found = { problem: error, until: this.#now() + UNKNOWN_FOR }
    }
    this.#found.delete(id)
    this.#found.set(id, found)
  }

  /** Between two pages: forgets what is too much. */
  trim(): void {
    for (const id of this.#found.keys()) {
      if (this.#found.size <= MOST_SCHEMAS) return
      this.#found.delete(id)
    }
  }

  async #schema(id: string, signal: AbortSignal): Promise<Schema> {
    await this.open()
    const first = await this.#registry.schema(id, false, signal)
    try {
      return this.#made(first)
    } catch (error) {
      if (!(error instanceof UnknownType) || first.references) throw asUndecodable(id, error)
    }
    const whole = await this.#registry.schema(id, true, signal)
    try {
      return this.#made(whole)
    } catch (error) {
      throw asUndecodable(id, error)
    }
  }

  #made({ schema, references = [] }: Registered): Schema {
    const node = (this.#parse as ParseAvro)(schema, references)
    return { read: avroReader(node), text: Buffer.from(JSON.stringify(JSON.parse(schema))) }
  }
}

function asUndecodable(id: string, error: unknown): Error {
  if (error instanceof BizonError || error instanceof Undecodable) return error
  return new Undecodable(`has the schema id ${id}, whose schema is not valid: ${messageOf(error)}`)
}
