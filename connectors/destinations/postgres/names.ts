// Names in PostgreSQL: of any spelling, at most 63 bytes, and case counts. A longer one would be cut off, and so could
// be the name of another table.

import { createHash } from 'node:crypto'
import { BizonError } from '../../../lib/errors.ts'
import { quoteName } from '../../postgres.ts'

export const LONGEST = 63

export function qualified(schema: string, table: string): string {
  return `${quoteName(schema)}.${quoteName(table)}`
}

/** The name as it is, if it can be one. `what`: `column`, `destination_id`. */
export function checkedName(name: string, what: string): string {
  const bytes = Buffer.byteLength(name)
  if (name !== '' && bytes <= LONGEST && !name.includes('\0')) return name
  const shown = JSON.stringify(name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name)
  const reason = bytes > LONGEST ? `has ${bytes} bytes, and PostgreSQL takes ${LONGEST}` : 'is no name in PostgreSQL'
  throw new BizonError('config', `${what} ${shown} ${reason}`, { hint: `Choose another ${what}.` })
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
