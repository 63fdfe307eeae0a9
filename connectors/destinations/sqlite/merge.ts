// Merging by key: which of two rows with one key stays. The newer one, and of two that are equally new the one that came
// later; also against the published table, so that an older row that comes late changes nothing.

import { namingOf, uniqueOf } from '../naming.ts'
import type { Column } from './columns.ts'
import type { SqliteOptions } from './config.ts'
import type { Lists } from './lists.ts'
import { derivedName, quoteName, quoteText } from './names.ts'
import type { Session } from './session.ts'
import { countOf, listOf, swallowed } from './tables.ts'

export class Key {
  readonly #options: SqliteOptions
  readonly #lists: Lists | undefined
  /** Column of the payload, where it is whole. */
  readonly #payload: string

  constructor(options: SqliteOptions, lists: Lists | undefined) {
    this.#options = options
    this.#lists = lists
    this.#payload = namingOf(options).payload
  }

  /** Leaves one row for each key. */
  async deduplicate(session: Session, staging: string, columns: readonly Column[]): Promise<void> {
    const version = this.#version(columns)
    const order = [...(version === undefined ? [] : [`${version} DESC NULLS LAST`]), 'rowid DESC']
    const older = `SELECT id FROM (SELECT rowid AS id,
         row_number() OVER (PARTITION BY ${this.#keys()} ORDER BY ${order.join(', ')}) AS place
       FROM ${quoteName(staging)}) WHERE place > 1`
    if (this.#lists) await this.#lists.leave(session, staging, older)
    else await session.change(`DELETE FROM ${quoteName(staging)} WHERE rowid IN (${older})`)
  }

  /** By which the database itself refuses a second row, and finds the first. One of another key goes. */
  async ensureIndex(session: Session, table: string): Promise<void> {
    const name = this.#indexOf(table)
    await dropKeys(session, table, name)
    await session.change(
      `CREATE UNIQUE INDEX IF NOT EXISTS ${quoteName(name)} ON ${quoteName(table)} (${this.#keys()})`,
    )
  }

  isIndex(table: string, name: string): boolean {
    return name === this.#indexOf(table)
  }

  /** Every staged row, in its order. */
  async merge(session: Session, main: string, staging: string, columns: readonly Column[]): Promise<void> {
    const list = listOf(columns)
    await this.#takeLists(session, main, staging, columns)
    const sent = await countOf(session, staging)
    const count = await session.change(
      `INSERT INTO ${quoteName(main)} (${list}) SELECT ${list} FROM ${quoteName(staging)} WHERE true ORDER BY rowid
       ${this.conflict(main, columns)}`,
    )
    // With a cursor those that are older are not counted either, unless they have left before with their lists.
    if (count !== sent && (this.#lists || this.#options.cursor_field === undefined)) throw swallowed(main, count, sent)
  }

  /** Their rows go with those that are replaced, and do not come with those that are older. */
  async #takeLists(session: Session, main: string, staging: string, columns: readonly Column[]): Promise<void> {
    if (!this.#lists) return
    await this.deduplicate(session, staging, columns)
    const same = this.#options.primary_key.map((name) => `held.${quoteName(name)} = staged.${quoteName(name)}`)
    const both = `${quoteName(main)} AS held JOIN ${quoteName(staging)} AS staged ON ${same.join(' AND ')}`
    const [is, was] = [this.#version(columns, 'staged'), this.#version(columns, 'held')]
    if (is !== undefined) {
      const older = `SELECT staged.rowid FROM ${both} WHERE (${was} IS NULL OR ${is} >= ${was}) IS NOT TRUE`
      await this.#lists.leave(session, staging, older)
    }
    await this.#lists.replace(session, `FROM ${both}`)
  }

  /** What stands behind an INSERT whose rows are merged. */
  conflict(main: string, columns: readonly Column[]): string {
    const set = columns.map(({ name }) => `${quoteName(name)} = excluded.${quoteName(name)}`).join(', ')
    const [is, was] = [this.#version(columns, 'excluded'), this.#version(columns, quoteName(main))]
    const guard = is === undefined ? '' : ` WHERE ${was} IS NULL OR ${is} >= ${was}`
    return `ON CONFLICT (${this.#keys()}) DO UPDATE SET ${set}${guard}`
  }

  #indexOf(table: string): string {
    return derivedName(table, 'key', uniqueOf(this.#options))
  }

  #keys(): string {
    const { unnest, primary_key: key } = this.#options
    return key.map((name) => (unnest ? quoteName(name) : keyOf(this.#payload, name))).join(', ')
  }

  /** Undefined: nothing says which is newer. */
  #version(columns: readonly Column[], of?: string): string | undefined {
    const { cursor_field: field, cursor_type: type, unnest } = this.#options
    if (field === undefined) return undefined
    const from = of === undefined ? '' : `${of}.`
    const value = unnest ? `${from}${quoteName(field)}` : `json_extract(${from}${this.#payload}, ${pathOf(field)})`
    switch (type) {
      case 'value':
        // Kept as text, so that no digit is lost.
        if (unnest && columns.find(({ name }) => name === field)?.kind === 'decimal') return `CAST(${value} AS NUMERIC)`
        return value
      case 'number':
        return `CAST(${value} AS NUMERIC)`
      case 'timestamp':
        return `CASE typeof(${value}) WHEN 'text' THEN bizon_time(${value}) ELSE ${value} END`
    }
  }
}

/** Undefined: rows are only added. */
export function keyOfOptions(options: SqliteOptions, lists: Lists | undefined): Key | undefined {
  return options.primary_key.length === 0 ? undefined : new Key(options, lists)
}

/** Indexes that a primary_key of former times has left; `keep`: but for this one. */
export async function dropKeys(session: Session, table: string, keep?: string): Promise<void> {
  const found = await session.read(
    `SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? COLLATE NOCASE`,
    [table],
  )
  for (const { name } of found) {
    if (isKeyIndex(table, String(name)) && name !== keep) await session.change(`DROP INDEX ${quoteName(String(name))}`)
  }
}

export function isKeyIndex(table: string, name: string): boolean {
  return name.toLowerCase().startsWith(`${table}__bizon_key_`.toLowerCase())
}

/** A string whatever its escapes; a number as it is written, since a double would make one of two. */
export function keyOf(data: string, name: string): string {
  const path = pathOf(name)
  return `CASE json_type(${data}, ${path}) WHEN 'text' THEN json_quote(json_extract(${data}, ${path})) ELSE ${data} -> ${path} END`
}

function pathOf(name: string): string {
  return quoteText(`$.${JSON.stringify(name)}`)
}
