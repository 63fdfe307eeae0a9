// Names in PostgreSQL: of any spelling, at most 63 bytes, and case counts. A longer one would be cut off, and so could
// be the name of another table.

import { createHash } from 'node:crypto'
import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import type { Partition } from '../../../lib/partition.ts'
import type { StreamInfo } from '../../../lib/source.ts'
import { quoteName } from '../../postgres.ts'

export const LONGEST = 63
/** Beside the tables whose state it holds. */
export const STATE_TABLE = '_bizon_state'

export function qualified(schema: string, table: string): string {
  return `${quoteName(schema)}.${quoteName(table)}`
}

/** The name as it is, if it can be one. `what`: `column`, `destination_id`. */
export function checkedName(name: string, what: 'destination_id' | 'schema' | 'column'): string {
  const bytes = Buffer.byteLength(name)
  if (name !== '' && bytes <= LONGEST && !name.includes('\0')) return name
  const shown = JSON.stringify(name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name)
  const reason = bytes > LONGEST ? `has ${bytes} bytes, and PostgreSQL takes ${LONGEST}` : 'is no name in PostgreSQL'
  throw new InvalidKey(inDestination(what === 'column' ? 'record_schemas' : what), `${what} ${shown} ${reason}`, {
    hint: `Choose another ${what}.`,
  })
}

/** Of the state row of a target, or of its partition; such a name no table is likely to have. */
export const rowKeyOf = (target: string, partition: Partition | undefined): string =>
  partition ? `${target} [partition ${partition.index + 1} of ${partition.of}]` : target

/** Under which the tables of a target are its own. */
export const ownerName = (target: string, partition: Partition | undefined): string =>
  partition ? `${target} [${partition.of} partitions]` : target

/** How such a name ends of a target in partitions. */
export const IN_PARTITIONS = / \[(\d+) partitions\]$/

/** The tables that records go to. */
export class TableNames {
  readonly #destinationId: string
  readonly #stream: string
  /** Those that are known to be good names. */
  readonly #known = new Set<string>()

  /** `stream`: of pages that do not say theirs. */
  constructor(destinationId: string, stream: string) {
    this.#destinationId = destinationId
    this.#stream = stream
  }

  /** For records that name none. */
  usual(stream: StreamInfo | undefined): string {
    return this.#destinationId.replaceAll('{stream}', stream?.name ?? this.#stream)
  }

  /** The same name, if it can be that of a table. */
  checked(destinationId: string): string {
    if (this.#known.has(destinationId)) return destinationId
    checkedName(destinationId, 'destination_id')
    if (destinationId === STATE_TABLE) {
      throw new InvalidKey(inDestination('destination_id'), `${STATE_TABLE} is the table of the state`, {
        hint: 'Choose another destination_id.',
      })
    }
    this.#known.add(destinationId)
    return destinationId
  }
}

/** A name made of another: recognisable, short enough, and no two alike. */
export function derivedName(table: string, purpose: string, unique: string): string {
  const end = `__bizon_${purpose}_${createHash('sha256')
    .update(JSON.stringify([table, unique]))
    .digest('hex')
    .slice(0, 10)}`
  let start = table
  while (Buffer.byteLength(start) + end.length > LONGEST) start = [...start].slice(0, -1).join('')
  return start + end
}
