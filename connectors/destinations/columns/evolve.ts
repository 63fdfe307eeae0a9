// What becomes of a table's columns when records bring something that they cannot take: docs/delivery.md, "Changed
// schemas". Decided for a page as a whole, before a byte of it is written.

import { BizonError } from '../../../lib/errors.ts'
import { fits, type Kind, widened } from './kinds.ts'

/**
 * `evolve`: new fields become columns, an integer column becomes one of any numbers. `freeze`: the columns stay, and
 * fields that are none are left out. `fail`: either fails the run. A value of another type always does.
 */
export const POLICIES = ['evolve', 'freeze', 'fail'] as const
export type Policy = (typeof POLICIES)[number]

/** By name. Undefined: a type of somebody else's, whose values the destination judges. */
export type Kinds = ReadonlyMap<string, Kind | undefined>

export interface Changes {
  /** Columns to add, with their kinds. */
  readonly added: ReadonlyMap<string, Kind>
  /** Columns to change, with what they become, keeping the values that they have. */
  readonly widened: ReadonlyMap<string, Kind>
  /** Columns that must become others, with what the records have there. */
  readonly retyped: ReadonlyMap<string, Kind>
  /** Fields that have no column, and get none. */
  readonly leftOut: readonly string[]
}

/** A field whose value no column can take. The caller knows the record. */
export interface Misfit {
  readonly name: string
  /** What the records have there. */
  readonly value: Kind
  /** What the column is; undefined: there is none. */
  readonly column: Kind | undefined
}

/**
 * `seen`: the fields of some records, with the kind that takes all their values; those that are always null are not
 * among them. `isReplaced`: the table has rows of this run only, so that under `evolve` a column may become another.
 */
export function changesFor(
  columns: Kinds,
  seen: ReadonlyMap<string, Kind>,
  policy: Policy,
  isReplaced = false,
): Changes | Misfit {
  const added = new Map<string, Kind>()
  const wider = new Map<string, Kind>()
  const retyped = new Map<string, Kind>()
  const leftOut: string[] = []
  for (const [name, value] of seen) {
    const column = columns.get(name)
    if (column === undefined && !columns.has(name)) {
      if (policy === 'fail') return { name, value, column }
      if (policy === 'evolve') added.set(name, value)
      else leftOut.push(name)
    } else if (column !== undefined && !fits(value, column)) {
      const kind = policy === 'evolve' ? widened(column, value) : undefined
      if (kind !== undefined) wider.set(name, kind)
      else if (policy === 'evolve' && isReplaced && canTurn(column)) retyped.set(name, value)
      else return { name, value, column }
    }
  }
  return { added, widened: wider, retyped, leftOut }
}

export function isMisfit(result: Changes | Misfit): result is Misfit {
  return 'name' in result
}

/** Whether the values of such a column can be had as JSON again: those of a time have another spelling by then. */
const canTurn = (column: Kind): boolean => column !== 'timestamp'

/**
 * `record`: the first that has such a value.
 * `remedy`: how a column gets another type, in words that follow "or".
 */
export function misfitError(
  { name, value, column }: Misfit,
  { record, table, remedy }: { readonly record: string; readonly table: string; readonly remedy: string },
): BizonError {
  const field = `record ${JSON.stringify(record)} for ${table}: its field ${JSON.stringify(name)}`
  if (column === undefined) {
    return new BizonError('invalid_record', `${field} (${value}) is no column, and on_schema_change is fail`, {
      hint: 'Add the column, drop the field in a transform, or set on_schema_change to evolve or freeze.',
    })
  }
  const canWiden = widened(column, value) !== undefined
  return new BizonError('invalid_record', `${field} is ${value}, and the column is ${column}`, {
    hint: canWiden
      ? 'Set on_schema_change to evolve, which widens the column, or correct it in a transform.'
      : `Correct it in a transform, or ${remedy}.`,
  })
}
