// Parquet read back as readers do: all files of the folder that `current` points to, in the order of their names, one row
// group at a time.

import { open, readdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { payloadOf, type StoredRow, storedRow } from '../../../../lib/audit/reader.ts'
import { BizonError, messageOf } from '../../../../lib/errors.ts'
import { type Libraries, loadParquet, openPart, type PartFile } from '../../../parquet.ts'
import { printerOf } from '../../../sources/file/parquet-values.ts'
import { shortest } from '../paths.ts'
import { type Form, storedOf } from './stored.ts'

const BATCH_ROWS = 1000

export const currentOf = (home: string): string => join(home, 'current')

/** Where the record's members are the columns, they have the types that they have there. */
export async function* readParquet(
  current: string,
  form: Form,
  signal: AbortSignal,
): AsyncGenerator<StoredRow[], void, void> {
  const libraries = await loadParquet('destination')
  const version = await realpath(current)
  const names = (await readdir(version)).filter((name) => name.endsWith('.parquet')).sort()
  for (const name of names) {
    try {
      yield* rowsOf(join(version, name), libraries, form, signal)
    } catch (error) {
      if (error instanceof BizonError || signal.aborted) throw error
      throw new BizonError('edited', `${shortest(join(version, name))} is damaged: ${messageOf(error)}`, {
        cause: error,
        hint: 'Put it back as it was; or load everything again: a full refresh, or --reset of an incremental pipeline.',
      })
    }
  }
}

async function* rowsOf(path: string, libraries: Libraries, form: Form, signal: AbortSignal) {
  const file = await open(path)
  try {
    const part = await openPart(libraries, (await file.stat()).size, async (offset, length) => {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, offset)
      return buffer.subarray(0, bytesRead)
    })
    for (const [group, count] of part.groups.entries()) {
      signal.throwIfAborted()
      const columns = await part.read(group)
      const rowOf = form.isPlain ? membersOf(part, columns, form) : columnsOf(part, columns, form)
      for (let at = 0; at < count; at += BATCH_ROWS) {
        const length = Math.min(BATCH_ROWS, count - at)
        yield Array.from({ length }, (_, next) => rowOf(at + next))
      }
    }
  } finally {
    await file.close()
  }
}

function columnsOf(
  { schema }: PartFile,
  columns: readonly ArrayLike<unknown>[],
  { naming }: Form,
): (row: number) => StoredRow {
  const [ids, records, payloads] = [naming.rowId, naming.recordId, naming.payload].map(
    (name) => columns[schema.children.findIndex(({ element }) => element.name === name)],
  )
  return (row) => {
    const [rowId, recordId, data] = [ids?.[row], records?.[row], payloads?.[row]]
    return storedRow(rowId, recordId, typeof data === 'string' ? payloadOf(Buffer.from(data)) : undefined)
  }
}

function membersOf(
  { schema }: PartFile,
  columns: readonly ArrayLike<unknown>[],
  form: Form,
): (row: number) => StoredRow {
  const print = printerOf(schema)
  return (row) => storedOf(Buffer.from(print(columns, row)), form)
}
