// `unnest: tables` where records are merged. Rows of lists have no key: they go with the row of their record. Where that is
// replaced, so are they; where it is the older one itself, they do not come.

import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { linksOf, recordsFirst } from '../child-tables.ts'
import { namingOf } from '../naming.ts'
import type { SqliteOptions } from './config.ts'
import { derivedName, quoteName } from './names.ts'
import type { Session } from './session.ts'
import { undeleted } from './tables.ts'

/** Ids of records' rows that are gone, until `end`: published ones, and staged ones that never will be. */
const GONE = 'temp._bizon_gone'

export class Lists {
  /** Column of rows of lists with the id of the record's row. */
  readonly #root: string
  /** Column of the record's row with that id; quoted. */
  readonly #rowId: string

  constructor(options: SqliteOptions) {
    this.#root = linksOf(options).root
    this.#rowId = quoteName(String(namingOf(options).rowId))
  }

  /** Whether a table with such columns has rows of lists. */
  isIn(names: readonly string[]): boolean {
    return names.includes(this.#root)
  }

  recordsFirst<Table>(tables: readonly Table[], namesOf: (table: Table) => readonly string[]): Table[] {
    return recordsFirst(tables, (table) => this.isIn(namesOf(table)))
  }

  /** Once in a transaction, before anything else. */
  async begin(session: Session): Promise<void> {
    await session.change(`CREATE TEMP TABLE _bizon_gone (id TEXT, published INTEGER NOT NULL)`)
  }

  async end(session: Session): Promise<void> {
    await session.change(`DROP TABLE ${GONE}`)
  }

  /** `which`: a query of the rowids of staged rows that give way, and are removed here. */
  async leave(session: Session, staging: string, which: string): Promise<void> {
    const name = quoteName(staging)
    await session.change(`INSERT INTO ${GONE} SELECT ${this.#rowId}, 0 FROM ${name} WHERE rowid IN (${which})`)
    await session.change(`DELETE FROM ${name} WHERE ${this.#rowId} IN (SELECT id FROM ${GONE} WHERE published = 0)`)
  }

  /** `from`: the published rows that are about to be replaced, from FROM on, called `held`. */
  async replace(session: Session, from: string): Promise<void> {
    await session.change(`INSERT INTO ${GONE} SELECT held.${this.#rowId}, 1 ${from}`)
  }

  /** Removes the rows of staged records that gave way from what is staged. */
  async clearStaged(session: Session, staging: string): Promise<void> {
    await this.#clear(session, staging, 'published = 0')
  }

  /** Removes the rows of records that are replaced from what is published. */
  async clearPublished(session: Session, main: string): Promise<void> {
    await this.#clear(session, main, 'published = 1')
  }

  /** By which the rows of a record are found. */
  async ensureIndex(session: Session, table: string): Promise<void> {
    const name = quoteName(derivedName(table, 'root', this.#root))
    await session.change(`CREATE INDEX IF NOT EXISTS ${name} ON ${quoteName(table)} (${quoteName(this.#root)})`)
  }

  /** Rejects when a row stays. */
  async #clear(session: Session, table: string, which: string): Promise<void> {
    const where = `${quoteName(this.#root)} IN (SELECT id FROM ${GONE} WHERE ${which})`
    await session.change(`DELETE FROM ${quoteName(table)} WHERE ${where}`)
    const [row] = await session.read(`SELECT count(*) AS count FROM ${quoteName(table)} WHERE ${where}`)
    const left = Number(row?.count)
    if (left > 0) throw undeleted(table, left)
  }
}

/** Undefined: there are no lists, or their rows are only added or all replaced. */
export function listsOf(options: SqliteOptions, mode: SyncMode): Lists | undefined {
  if (options.unnestDepth === undefined || options.primary_key.length === 0) return undefined
  const direct =
    mode === 'stream' ? 'source.sync_mode stream' : options.visibility === 'batch' ? 'visibility: batch' : ''
  if (direct === '') return new Lists(options)
  throw new InvalidKey(
    inDestination('unnest'),
    `with ${direct} rows are merged as they come, and those of lists (unnest: tables) need the record's own row settled before`,
    {
      hint: 'Load into postgres, which can do that. Or leave out primary_key, or write lists as JSON with unnest: columns.',
    },
  )
}
