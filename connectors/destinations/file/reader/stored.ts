// A line of JSON as a row that was stored: its id, the record's, and the record.

import { payloadOf, type StoredRow, storedRow } from '../../../../lib/audit/reader.ts'
import { members, stringAt, stringOf } from '../../../../lib/json.ts'
import { RawJson } from '../../../../lib/record.ts'
import type { Naming } from '../../naming.ts'

/** What rows of a target look like. */
export interface Form {
  readonly naming: Naming
  /** Whether a row is the record alone, or its columns. */
  readonly isPlain: boolean
}

export function storedOf(line: Buffer, { naming, isPlain }: Form): StoredRow {
  const whole = payloadOf(line)
  if (naming.columns.length === 0 || !whole) return { data: whole }
  try {
    if (!isPlain && !naming.isNested) return parsedOf(line, naming)
    const found = new Map<string, RawJson>()
    members(line, 0, line.length, (keyStart, keyEnd, start, end) => {
      found.set(stringAt(line, keyStart, keyEnd), new RawJson(line, start, end))
    })
    const id = naming.rowId === undefined ? undefined : found.get(naming.rowId)
    const data = isPlain ? withoutFacts(found, naming) : found.get(naming.payload)
    return storedRow(id && stringOf(id), undefined, data)
  } catch {
    return { data: undefined }
  }
}

/** The payload is the text in a string. */
function parsedOf(line: Buffer, naming: Naming): StoredRow {
  const row = JSON.parse(line.toString()) as Record<string, unknown>
  const [rowId, recordId, data] = [naming.rowId, naming.recordId, naming.payload].map((name) => row[name ?? ''])
  return storedRow(rowId, recordId, typeof data === 'string' ? payloadOf(Buffer.from(data)) : undefined)
}

/** The record's own members. */
function withoutFacts(found: ReadonlyMap<string, RawJson>, { columns }: Naming): RawJson | undefined {
  const own = [...found].filter(([name]) => columns.every((column) => column.name !== name))
  return payloadOf(Buffer.from(`{${own.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`))
}
