// Columns that a table is given: new ones, and those of another type (turn.ts).

import { BizonError } from '../../../lib/errors.ts'
import type { Column } from './columns.ts'
import { foldName, quoteName } from './names.ts'
import type { Session } from './session.ts'
import type { Kinds } from './state.ts'
import { creationOf, definitionOf, type FoundTable, findTable } from './tables.ts'
import { type Turned, turnColumns } from './turn.ts'
import { declaredType, type Kind, keepsAs, kindKeptBy } from './types.ts'

/** What the columns of a table keep: what its state says, if that may still be; else what their types let through unchanged. */
export function kindsIn(found: FoundTable | undefined, known: Kinds): ReadonlyMap<string, Kind | undefined> {
  return new Map(
    (found?.columns ?? []).map(({ name, type }) => {
      const kind = Object.hasOwn(known, name) ? known[name] : undefined
      return [name, kind !== undefined && keepsAs(type, declaredType(kind)) ? kind : kindKeptBy(type)]
    }),
  )
}

export interface Altered {
  readonly table: string
  /** All that it is to have. */
  readonly columns: readonly Column[]
  /** What those that it has keep. */
  readonly kinds: ReadonlyMap<string, Kind | undefined>
  /** Whether a column may become any other; else only a wider one. */
  readonly mayTurn: boolean
}

/** Within the transaction. Rejects when a column is there and keeps something else. */
export async function alterTable(session: Session, { table, columns, kinds, mayTurn }: Altered): Promise<void> {
  const found = await findTable(session, table)
  if (!found) {
    await session.change(creationOf(table, columns))
    return
  }
  const turned: Turned[] = []
  const added: Column[] = []
  for (const column of columns) {
    const there = found.columns.find(({ name }) => foldName(name) === foldName(column.name))
    const is = kinds.get(column.name)
    if (!there) added.push(column)
    else if (there.computed) throw another(table, column, 'computed')
    else if (is !== undefined && is !== column.kind && (mayTurn || isWider(is, column.kind))) {
      turned.push({ ...column, value: castOf(quoteName(there.name), is, column.kind) })
    } else if (
      is !== column.kind &&
      !(is === 'decimal' && column.kind === 'integer') &&
      !keepsAs(there.type, column.type)
    ) {
      throw another(table, column, there.type || 'without a type')
    }
  }
  if (turned.length > 0) await turnColumns(session, found, turned)
  for (const column of added) {
    await session.change(`ALTER TABLE ${quoteName(table)} ADD COLUMN ${definitionOf(column)}`)
  }
}

const isWider = (is: Kind, wanted: Kind): boolean => is === 'integer' && wanted === 'decimal'

/** The text that a column of the other kind would have got. */
function castOf(column: string, is: Kind, wanted: Kind): string {
  if (wanted !== 'json' || is === 'integer' || is === 'decimal') return `CAST(${column} AS TEXT)`
  return is === 'boolean' ? `CASE ${column} WHEN 1 THEN 'true' ELSE 'false' END` : `json_quote(${column})`
}

function another(table: string, { name, type }: Column, is: string): BizonError {
  return new BizonError('destination', `${table}: column ${name} is ${is}, not ${type}`, {
    hint: 'Choose another destination_id, or change the type of the column.',
  })
}
