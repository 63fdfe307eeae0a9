// The way back: what a destination offers so that what was published can be read and compared.

import type { DestinationConfig, PipelineConfig } from '../config.ts'
import type { DestinationOptions } from '../destination.ts'
import { BizonError } from '../errors.ts'
import { scanValue, skipWhitespace } from '../json.ts'
import { type Log, silentLog } from '../log.ts'
import { RawJson } from '../record.ts'
import type { Digested } from './tally.ts'

/** A published row. */
export interface StoredRow {
  /** `bizon_id`, where the target has it. */
  readonly rowId?: string
  /** `source_record_id`, where the target has it. */
  readonly recordId?: string
  /** The record's payload as JSON; undefined: what is there is no JSON. Good until the next rows are asked for. */
  readonly data: RawJson | undefined
}

export interface Keeps {
  /**
   * What comes back as it was given, apart from its spelling: the records' ids and payloads, the payloads, or neither,
   * so that rows can only be counted.
   */
  readonly of: Digested | 'counts'
  /** Rows that are not there any more are nothing wrong, because others came in their place: nothing can be compared. */
  readonly merges?: boolean
  /** They come in the place of all rows of their scope, so that a run has to bring all of those that are to be there. */
  readonly byScope?: boolean
  /** Rows come back with the id of the row; without `of: 'records'` that of the record is not kept. */
  readonly ids?: boolean
  /**
   * Readers may see a part of what a run adds before it has ended: from its first row on, or only while it is published. Of
   * what it replaces never.
   */
  readonly addsInView?: 'batch' | 'publish'
  /**
   * Nothing is replaced, nor taken back: the rows of all runs stay, also of those that were given up; and other programs may
   * write there as well.
   */
  readonly onlyAdds?: boolean
  /** Rows come back in the order in which they were written. */
  readonly inOrder: boolean
  /** A run that loads all there is, and finds nothing, leaves what was there. */
  readonly onEmpty?: 'keep' | undefined
  /** Why not more, in words for people. */
  readonly why?: string | undefined
}

/** Reads by another way than the rows were written, so that one fault is not in both. */
export interface Reader {
  readonly keeps: Keeps
  /** Where a person finds the target of a destination id. Two ids of one target have one place. */
  place(destinationId: string): string
  /** All published rows of the target, some at a time; none if there is no target. Can be called again. */
  read(destinationId: string, signal: AbortSignal): AsyncGenerator<readonly StoredRow[], void, void>
  /** Why rows of the target may not be there although nothing went wrong, as known after a `read`. Absent: there is no such thing. */
  gone?(destinationId: string): string | undefined
  /** Always the last call. */
  close(): Promise<void>
}

/** Of what stands in the columns of ids; no text: there is none. */
export function storedRow(rowId: unknown, recordId: unknown, data: RawJson | undefined): StoredRow {
  return {
    ...(typeof rowId === 'string' && { rowId }),
    ...(typeof recordId === 'string' && { recordId }),
    data,
  }
}

/** Undefined: it is no JSON. */
export function payloadOf(text: Buffer): RawJson | undefined {
  const end = scanValue(text, 0, text.length)
  return end >= 0 && skipWhitespace(text, end, text.length) === text.length ? new RawJson(text) : undefined
}

/** A target to try things on. */
export interface Scratch<Config = DestinationOptions> {
  readonly config: Config
  /**
   * `folder`: all of it is there, so that a copy of that is a copy of the target. `server`: behind connections, which
   * `bizon chaos` may cut (lib/fault.ts). Absent: neither is known.
   */
  readonly kept?: 'folder' | 'server'
  /** The same of a destination id that a record names. */
  idOf(destinationId: string): string
  /** Removes what is not in the folder. */
  remove(): Promise<void>
}

/** The target of records that name none. */
export function targetOf({ destinationId }: Pick<DestinationOptions, 'destinationId'>, stream: string): string {
  return destinationId.replaceAll('{stream}', stream)
}

type Readable = Pick<PipelineConfig, 'name' | 'source'> & { readonly destination: DestinationConfig }

/** Throws when the destination cannot be read back. */
export function openReader({ name, source, destination }: Readable, log: Log = silentLog): Reader {
  const { definition, options } = destination
  if (!definition.reader) {
    throw new BizonError('usage', `destination ${destination.name} cannot be read back`, {
      hint: 'Use file, sqlite, postgres or kafka; or see docs/writing-a-destination.md for what a destination needs.',
    })
  }
  return definition.reader(options, { pipeline: name, stream: source.stream, mode: source.mode, log })
}

/** What to make digests of, where the config asks for them; or why that is not possible, in words for people. */
export function digestedBy(config: Readable): { readonly of?: Digested; readonly no?: string } {
  const no = (why: string) => ({ no: `verify: true keeps no digests, so that only rows can be counted: ${why}` })
  if (!config.destination.definition.reader) return no(`destination ${config.destination.name} cannot be read back`)
  try {
    const { keeps } = openReader(config)
    if (keeps.of !== 'counts' && !keeps.merges) return { of: keeps.of }
    return no(keeps.why ?? 'the target does not keep records as they were given')
  } catch (error) {
    if (error instanceof BizonError) return no(error.message)
    throw error
  }
}
