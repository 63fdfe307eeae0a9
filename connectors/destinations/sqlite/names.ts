// Names in SQLite: of any spelling and length, and `Events` is `events`.

import { createHash } from 'node:crypto'
import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import { isHalfPair } from '../schemas.ts'

export const STATE_TABLE = '_bizon_state'

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** Whether SQLite takes them for one. */
export function isSameName(one: string, other: string): boolean {
  return foldName(one) === foldName(other)
}

/** Equal for names that SQLite takes for one. */
export function foldName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** The name as it is, if it can be one. `what`: `column`, `destination_id`. */
export function checkedName(name: string, what: 'destination_id' | 'column'): string {
  if (name === '' || name.includes('\0') || isHalfPair(name)) {
    throw new InvalidKey(
      inDestination(what === 'column' ? 'record_schemas' : what),
      `${what} ${JSON.stringify(name)} is no name in SQLite`,
      {
        hint: `Choose another ${what}.`,
      },
    )
  }
  return name
}

export function checkedTable(name: string): string {
  checkedName(name, 'destination_id')
  if (foldName(name) === STATE_TABLE) {
    throw new InvalidKey(inDestination('destination_id'), `${name} is the table of the state`, {
      hint: 'Choose another destination_id.',
    })
  }
  if (foldName(name).startsWith('sqlite_')) {
    throw new InvalidKey(
      inDestination('destination_id'),
      `${name}: SQLite keeps names that begin with sqlite_ for itself`,
      {
        hint: 'Choose another destination_id.',
      },
    )
  }
  return name
}

/** A name made of another: recognisable, and no two alike. */
export function derivedName(table: string, purpose: 'staging' | 'key' | 'root', unique: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([table, unique]))
    .digest('hex')
  return `${table}__bizon_${purpose}_${hash.slice(0, 10)}`
}
