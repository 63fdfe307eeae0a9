// `unnest: columns`: the columns of one table as they follow its records. What a page needs of them is done in the
// transaction of its rows, before them. A run's new columns are its staging table's alone until they are published; only a
// stream changes the published table as it goes. What a column is, its type does not tell (a number with all its digits
// is kept as text), so that the state row says it.

import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import type { JsonObject, SourceRecord } from '../../../lib/record.ts'
import { policyOf } from '../columns/config.ts'
import { joined, type Kind as Seen } from '../columns/kinds.ts'
import { FollowedColumns, recordWith, type Step } from '../columns/table.ts'
import { isDirect, replaces } from '../recovery.ts'
import { isHalfPair, keyFields, requireKeyColumns } from '../schemas.ts'
import { alterTable, kindsIn } from './alter.ts'
import { type Column, TableColumns } from './columns.ts'
import { derivedName, foldName, quoteName } from './names.ts'
import { checkMain, checkRows, type Site } from './recover.ts'
import type { Kinds, TableState } from './state.ts'
import { creationOf, type FoundTable, findTable, isPlain, prepareTable } from './tables.ts'
import { checkTurn } from './turn.ts'
import { declaredType, type Kind } from './types.ts'

const KINDS: { readonly [kind in Seen]: Kind } = {
  boolean: 'boolean',
  integer: 'integer',
  number: 'decimal',
  date: 'date',
  timestamp: 'time',
  text: 'text',
  json: 'json',
}
const SEEN = new Map(Object.entries(KINDS).map(([seen, kind]) => [kind, seen as Seen]))

const columnOf = (name: string, kind: Kind): Column => ({ name, kind, type: declaredType(kind) })

/** The columns of a table, for what its state says of them. */
export function columnsFor({ fixedOf, target }: Pick<Site, 'fixedOf' | 'target'>, kinds: Kinds): readonly Column[] {
  return [...fixedOf(target), ...Object.entries(kinds).map(([name, kind]) => columnOf(name, kind))]
}

/** The same of fields that the source names. */
export function columnsOfKinds(kinds: ReadonlyMap<string, Seen>): readonly Column[] {
  return [...kinds].map(([name, kind]) => columnOf(name, KINDS[kind]))
}

export class FollowedTable {
  /** What takes the rows. */
  readonly into: string
  readonly #site: Site
  readonly #table: string
  readonly #followed: FollowedColumns
  /** Of columns that were there. */
  readonly #there: ReadonlyMap<string, Kind | undefined>
  /** Names of columns that are there and that no field may have. */
  readonly #computed: readonly string[]
  #columns: TableColumns

  private constructor(site: Site, state: TableState, table: string, main: FoundTable | undefined) {
    const staged = Object.hasOwn(state.tables, table) ? state.tables[table] : undefined
    const before = state.kinds?.[table] ?? {}
    this.#site = site
    this.#table = table
    this.into = stagingOf(state, table)
    this.#computed = (main?.columns ?? []).filter(({ computed }) => computed).map(({ name }) => name)
    const own = site.naming.columns.map(({ name }) => name)
    const there = [...kindsIn(main, before)].filter(([name]) => !own.includes(name) && !this.#computed.includes(name))
    this.#there = new Map([...there, ...Object.entries(staged?.kinds ?? {})])
    const isReplaced = replaces(state) && isOwn(site, main, before)
    this.#followed = new FollowedColumns({
      table,
      policy: policyOf(site.options),
      columns: new Map([...this.#there].map(([name, kind]) => [name, kind && SEEN.get(kind)])),
      written: Object.keys(staged?.kinds ?? (isReplaced ? Object.fromEntries(there) : before)),
      isReplaced,
      remedy: isReplaced
        ? 'drop the column'
        : 'replace the table with --reset, where a column of both kinds becomes json',
    })
    this.#columns = this.#current()
  }

  /** Makes what takes the rows of a table ready, within the transaction. */
  static async begin(site: Site, state: TableState, table: string): Promise<FollowedTable> {
    const { session } = site
    await session.begin()
    if (!(table in state.tables)) await checkMain(site, state, table)
    const main = await findTable(session, table)
    if (main && isDirect(state)) {
      checkRows(site.options, main, table)
      await prepareTable(session, table, site.fixedOf(table), true)
    }
    const followed = new FollowedTable(site, state, table, main)
    const { all } = followed.columns
    // A table without a column is none to SQLite.
    if (all.length > 0 && !(await findTable(session, followed.into))) {
      await session.change(creationOf(followed.into, all))
    }
    await followed.#makeIndex(state)
    return followed
  }

  get columns(): TableColumns {
    return this.#columns
  }

  /** What the state says of the columns that rows are written with. */
  get kinds(): Kinds {
    return Object.fromEntries([...this.#followed.written].map(([name]) => [name, this.#kindOf(name)]))
  }

  /** What the table lacks for these records. Throws at one for which there is no column. */
  follow(records: readonly SourceRecord[], schema: JsonObject | undefined): Step | undefined {
    const step = this.#followed.follow(records, schema)
    for (const name of step?.added.keys() ?? []) this.#checkName(name, records)
    for (const name of step?.used ?? []) this.#checkUse(name)
    if (records.length > 0) this.#checkKey(records, step)
    return step
  }

  /** Carries out what a page needs. All rows that came before must be there. */
  async carryOut(step: Step, state: TableState): Promise<void> {
    const { session } = this.#site
    if (step.widened.size > 0) await this.#checkWidened([...step.widened.keys()], state)
    const turned = new Map<string, Seen>()
    for (const [name, kind] of step.retyped) {
      const column = quoteName(name)
      const sql = `SELECT 1 FROM ${quoteName(this.into)} WHERE ${column} IS NOT NULL LIMIT 1`
      const isEmpty = (await session.read(sql)).length === 0
      const is = this.#columns.all.find((one) => one.name === name)?.kind
      const before = is && SEEN.get(is)
      this.#followed.become(name, isEmpty || before === undefined ? kind : joined(before, kind))
      if (before !== undefined) turned.set(name, before)
    }
    const before = new Map(this.#columns.all.map(({ name, kind }) => [name, kind]))
    this.#columns = this.#current()
    const kinds = isDirect(state) ? new Map([...this.#there, ...before]) : before
    await alterTable(session, { table: this.into, columns: this.#columns.all, kinds, mayTurn: true })
    await this.#makeIndex(state)
    faultPoint('ddl.after')
  }

  async #makeIndex(state: TableState): Promise<void> {
    const { key, session } = this.#site
    if (!isDirect(state) || this.#columns.all.length === 0) return
    if (key && hasKey(this.#site, this.#columns.all)) await key.ensureIndex(session, this.#table)
  }

  #kindOf(name: string): Kind {
    const seen = this.#followed.written.get(name)
    return seen === undefined ? (this.#there.get(name) as Kind) : KINDS[seen]
  }

  #current(): TableColumns {
    const fields = [...this.#followed.written.keys()].map((name) => columnOf(name, this.#kindOf(name)))
    return new TableColumns(this.#site.options, this.#table, fields)
  }

  #checkName(name: string, records: readonly SourceRecord[]): void {
    const folded = foldName(name)
    const own = this.#site.naming.columns.some((column) => column.name === folded)
    const other = [...this.#there.keys(), ...this.#followed.written.keys()].find(
      (one) => one !== name && foldName(one) === folded,
    )
    const what = this.#computed.some((one) => foldName(one) === folded)
      ? 'is a column that SQLite computes'
      : own
        ? 'is a column of its own, unless metadata is none'
        : other !== undefined
          ? `and the column ${JSON.stringify(other)} have one name in SQLite`
          : name === '' || name.includes('\0') || isHalfPair(name)
            ? 'is no name in SQLite'
            : undefined
    if (what === undefined) return
    const first = recordWith(records, name)
    const whose = `table ${this.#table}${first ? `, record ${JSON.stringify(first.id)}` : ''}`
    throw new BizonError('invalid_record', `${whose}: its field ${JSON.stringify(name)} ${what}`, {
      hint: 'Rename or drop the field in a transform.',
    })
  }

  /** Rejects before a row is staged for a column that cannot become another when they are published. */
  async #checkWidened(names: readonly string[], state: TableState): Promise<void> {
    const main = await findTable(this.#site.session, this.#table)
    if (!main || (replaces(state) && isOwn(this.#site, main, state.kinds?.[this.#table] ?? {}))) return
    checkTurn(
      main,
      names.filter((name) => main.columns.some((column) => foldName(column.name) === foldName(name))),
    )
  }

  #checkUse(name: string): void {
    if (this.#there.get(name) !== undefined) return
    throw new BizonError('destination', `table ${this.#table}: column ${name} has a type that would change values`, {
      hint: 'Give it the type TEXT, INTEGER, REAL, BOOLEAN, DATE or TIMESTAMP, or rename the field in a transform.',
    })
  }

  #checkKey([first]: readonly SourceRecord[], step: Step | undefined): void {
    const { options, key, lists } = this.#site
    const names = [...this.#followed.written.keys(), ...(step?.added.keys() ?? [])]
    const of = `table ${this.#table}, record ${JSON.stringify(first?.id)}`
    if (names.length === 0 && this.#site.naming.columns.length === 0) {
      throw new BizonError('invalid_record', `${of}: neither it nor the rest of its page has a value`, {
        hint: 'Drop empty records in a transform, or leave metadata at bizon.',
      })
    }
    if (lists?.isIn(names)) return
    requireKeyColumns(options, { columns: names, isMerged: key !== undefined, of })
  }
}

/** Whether rows with these columns can be merged. */
export function hasKey({ options, lists }: Site, columns: readonly Pick<Column, 'name'>[]): boolean {
  if (lists?.isIn(columns.map(({ name }) => name))) return false
  return keyFields(options).every((name) => columns.some((column) => column.name === name))
}

function stagingOf(state: TableState, table: string): string {
  const { run, tables } = state
  return isDirect(state) ? table : (tables[table]?.staging ?? derivedName(table, 'staging', run))
}

/** Whether a table is nothing but what this program made for the pipeline, so that another may take its place. */
export function isOwn({ naming }: Pick<Site, 'naming'>, main: FoundTable | undefined, kinds: Kinds): boolean {
  if (!main) return true
  const own = naming.columns.map(({ name }) => name)
  return isPlain(main) && main.columns.every(({ name }) => own.includes(name) || Object.hasOwn(kinds, name))
}
