// Tables of a SQLite file read back by plain queries, for `bizon verify` and `bizon chaos`: one snapshot of each table, a few
// rows at a time. And a file of its own to try things in.

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import {
  type Keeps,
  payloadOf,
  type Reader,
  type Scratch,
  type StoredRow,
  storedRow,
} from '../../../lib/audit/reader.ts'
import { openFile } from '../../sources/sqlite/file.ts'
import { sqliteError } from '../../sqlite.ts'
import { hideRun, linksOf } from '../child-tables.ts'
import { shortest } from '../file/paths.ts'
import { type Naming, namingOf } from '../naming.ts'
import type { SqliteOptions } from './config.ts'
import { foldName, quoteName } from './names.ts'

const BATCH_BYTES = 1 << 18

export class SqliteReader implements Reader {
  readonly keeps: Keeps
  readonly #path: string
  readonly #options: SqliteOptions
  readonly #naming: Naming

  constructor(options: SqliteOptions) {
    const { path, unnest, primary_key: key, replace_scope: scope, on_empty: onEmpty } = options
    this.#path = resolve(path)
    this.#options = options
    this.#naming = namingOf(options)
    const changed = unnest ? 'with unnest values have the types of their columns' : undefined
    const isReplaced = key.length > 0 || scope.length > 0
    const by = key.length > 0 ? 'merged by primary_key' : 'replaced by replace_scope'
    const why = isReplaced ? `rows are ${by}, so that newer ones take the place of others` : changed
    this.keeps = {
      of: unnest ? 'counts' : this.#naming.recordId === undefined ? 'payloads' : 'records',
      ...(this.#naming.rowId !== undefined && { ids: true }),
      ...(options.visibility === 'batch' && { addsInView: 'batch' }),
      inOrder: false,
      ...(isReplaced && { merges: true }),
      ...(scope.length > 0 && { byScope: true }),
      ...(onEmpty === 'keep' && { onEmpty }),
      ...(why !== undefined && { why }),
    }
  }

  place(destinationId: string): string {
    return `${shortest(this.#path)}: ${foldName(destinationId)}`
  }

  async *read(destinationId: string, signal: AbortSignal): AsyncGenerator<readonly StoredRow[], void, void> {
    const path = this.#path
    if (!existsSync(path)) return
    const file = await openFile({ path, busy_timeout: this.#options.lock_timeout }, 'destination')
    try {
      const { database } = file
      const found = database.prepare('SELECT 1 FROM sqlite_schema WHERE type = ? AND name = ? COLLATE NOCASE')
      if (!found.get('table', destinationId)) return
      const { unnest, unnestDepth } = this.#options
      const { rowId, recordId, payload } = this.#naming
      const links = unnestDepth === undefined ? undefined : linksOf(this.#options)
      const columns = unnest ? '*' : [rowId, recordId, payload].filter((name) => name !== undefined).join(', ')
      const select = database.prepare(`SELECT ${columns} FROM ${quoteName(destinationId)}`).safeIntegers()
      let [rows, bytes]: [StoredRow[], number] = [[], 0]
      for (const row of select.iterate() as IterableIterator<Record<string, unknown>>) {
        const stored = storedOf(row, unnest !== false, this.#naming)
        if (stored.data && links) hideRun(stored.data, links)
        rows.push(stored)
        bytes += stored.data?.byteLength ?? 0
        if (bytes < BATCH_BYTES) continue
        yield rows
        signal.throwIfAborted()
        ;[rows, bytes] = [[], 0]
      }
      if (rows.length > 0) yield rows
    } catch (error) {
      throw sqliteError(error, path, 'destination')
    } finally {
      file.close()
    }
  }

  async close(): Promise<void> {}
}

function storedOf(row: Record<string, unknown>, unnest: boolean, naming: Naming): StoredRow {
  const [rowId, recordId] = [naming.rowId, naming.recordId].map((name) => (name === undefined ? undefined : row[name]))
  if (unnest) return storedRow(rowId, recordId, fieldsOf(row, naming))
  const text = row[naming.payload]
  return storedRow(rowId, recordId, typeof text === 'string' ? payloadOf(Buffer.from(text)) : undefined)
}

/** All columns but those that say what bizon knows of a record. */
function fieldsOf(row: Record<string, unknown>, { columns }: Naming) {
  const own = Object.entries(row).filter(([name]) => !columns.some((column) => column.name === name))
  const members = own.map(([name, value]) => {
    const text = typeof value === 'bigint' ? String(value) : JSON.stringify(value)
    return `${JSON.stringify(name)}:${text}`
  })
  return payloadOf(Buffer.from(`{${members.join(',')}}`))
}

/** A file in the folder, with the same tables. */
export function scratchFile(options: SqliteOptions, folder: string): Scratch<SqliteOptions> {
  return {
    config: { ...options, path: join(folder, 'target.sqlite3') },
    kept: 'folder',
    idOf: (destinationId) => destinationId,
    remove: async () => {},
  }
}
