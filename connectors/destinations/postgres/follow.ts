// `unnest: columns`: the columns of one table as they follow its records. What a page needs of them is part of the batch
// that has its rows (batch.ts), in its order, so that it is committed, undone and done again with them. A run's new columns
// are its staging table's alone until they are published; only a stream changes the published table as it goes.

import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import type { JsonObject, SourceRecord } from '../../../lib/record.ts'
import { type Queries, quoteName } from '../../postgres.ts'
import { policyOf } from '../columns/config.ts'
import { joined, type Kind } from '../columns/kinds.ts'
import { SeenValues } from '../columns/seen.ts'
import { FollowedColumns, recordWith, type Step } from '../columns/table.ts'
import { isDirect } from '../recovery.ts'
import { isHalfPair, requireKeyColumns } from '../schemas.ts'
import { useOf } from './check.ts'
import { type Column, TableColumns } from './columns.ts'
import { ARRIVAL } from './merge.ts'
import { LONGEST, qualified } from './names.ts'
import { indexFor, type Site } from './publish.ts'
import type { Transaction } from './session.ts'
import { stagingName } from './staging.ts'
import type { StagedTable, TableState } from './state.ts'
import { columnsIn, definitionOf, type FoundTable, findTable } from './tables.ts'

const TYPES: { readonly [kind in Kind]: string } = {
  boolean: 'boolean',
  integer: 'bigint',
  number: 'numeric',
  date: 'date',
  timestamp: 'timestamp with time zone',
  text: 'text',
  json: 'jsonb',
}
const KINDS = new Map(Object.entries(TYPES).map(([kind, type]) => [type, kind as Kind]))

/** Columns that every table has: https://www.postgresql.org/docs/current/ddl-system-columns.html */
const SYSTEM = ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid', ARRIVAL]

/** Columns with these kinds, for a table that is not there yet. */
export function columnsOfKinds(kinds: ReadonlyMap<string, Kind>): Column[] {
  return [...kinds].map(([name, kind]) => ({ name, type: TYPES[kind] }))
}

export class FollowedTable {
  readonly #site: Site
  readonly #table: string
  readonly #name: string
  /** Of columns that were there: theirs, whatever it is. */
  readonly #types: ReadonlyMap<string, string>
  readonly #computed: readonly string[]
  readonly #followed: FollowedColumns
  #columns: TableColumns

  constructor(site: Site, table: string, state: TableState, found: readonly FoundTable[]) {
    const { options } = site
    this.#site = site
    this.#table = table
    this.#name = `${options.schema}.${table}`
    this.#computed = found.flatMap(({ computed }) => computed).filter((name) => name !== ARRIVAL)
    this.#types = new Map(found.flatMap(({ columns }) => [...columns]).filter(([name]) => this.#isField(name)))
    const isReplaced = useOf(state, options) === 'swap'
    this.#followed = new FollowedColumns({
      table: this.#name,
      policy: policyOf(options),
      columns: new Map([...this.#types].map(([name, type]) => [name, KINDS.get(type)])),
      written: writtenBefore(state, table),
      seen: new SeenValues(),
      isReplaced,
      remedy: isReplaced
        ? 'drop the column'
        : options.replace_strategy === 'rename'
          ? 'replace the table with --reset, where a column of both kinds becomes json'
          : 'change the type of the column with ALTER TABLE',
    })
    this.#columns = this.#current()
  }

  /** What takes the table's rows must be there. */
  static async find(connection: Queries, site: Site, state: TableState, table: string): Promise<FollowedTable> {
    const { schema } = site.options
    const staging = stagingName(state, table)
    const main = await findTable(connection, schema, table)
    const staged = staging === null ? undefined : await findTable(connection, schema, staging)
    // One that takes the place of the other was made like it.
    const found = staged && useOf(state, site.options) === 'swap' ? [staged] : [main, staged]
    return new FollowedTable(
      site,
      table,
      state,
      found.filter((one) => one !== undefined),
    )
  }

  get columns(): TableColumns {
    return this.#columns
  }

  /** What the table lacks for these records. Throws at one for which there is no column. */
  follow(records: readonly SourceRecord[], schema: JsonObject | undefined): Step | undefined {
    const step = this.#followed.follow(records, schema)
    for (const name of step?.added.keys() ?? []) this.#checkName(name, records)
    if (step) this.#columns = this.#current()
    if (records.length > 0) this.#checkKey(records)
    return step
  }

  /** Settles what columns become that had other values: of the table that has this run's rows. */
  async settle(transaction: Transaction, step: Step, into: string, before: ReadonlyMap<string, Kind>): Promise<void> {
    for (const [name, kind] of step.retyped) {
      const { rows } = await transaction.query(`SELECT 1 FROM ${into} WHERE ${quoteName(name)} IS NOT NULL LIMIT 1`)
      this.#followed.become(name, rows.length === 0 ? kind : joined(before.get(name) ?? kind, kind))
    }
    this.#columns = this.#current()
  }

  /** Names of the columns that rows are written with, but for those of every record. */
  get fields(): readonly string[] {
    return [...this.#followed.written.keys()]
  }

  /** The kinds of the columns that rows are written with. */
  get kinds(): ReadonlyMap<string, Kind> {
    return new Map([...this.#followed.written].flatMap(([name, kind]) => (kind === undefined ? [] : [[name, kind]])))
  }

  #current(): TableColumns {
    const columns = [...this.#followed.written].map(([name, kind]) => ({
      name,
      type: kind === undefined ? String(this.#types.get(name)) : TYPES[kind],
    }))
    return new TableColumns(this.#site.options, this.#table, columns, (names) => this.#followed.valuesFor(names))
  }

  #isField(name: string): boolean {
    return name !== ARRIVAL && !this.#computed.includes(name) && !isOwn(name, this.#site)
  }

  #checkName(name: string, records: readonly SourceRecord[]): void {
    const bytes = Buffer.byteLength(name)
    const what = this.#computed.includes(name)
      ? 'is a column that PostgreSQL computes'
      : isOwn(name, this.#site)
        ? 'is a column of its own, unless metadata is none'
        : SYSTEM.includes(name)
          ? 'has a name that PostgreSQL keeps for itself'
          : bytes > LONGEST
            ? `has ${bytes} bytes, and PostgreSQL takes ${LONGEST}`
            : name === '' || name.includes('\0') || isHalfPair(name)
              ? 'is no name in PostgreSQL'
              : undefined
    if (what === undefined) return
    const first = recordWith(records, name)
    const shown = JSON.stringify(name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name)
    const whose = first ? `record ${JSON.stringify(first.id)} for ${this.#name}` : this.#name
    throw new BizonError('invalid_record', `${whose}: its field ${shown} ${what}`, {
      hint: 'Rename or drop the field in a transform.',
    })
  }

  #checkKey([first]: readonly SourceRecord[]): void {
    const { options, key, lists } = this.#site
    const names = this.#columns.all.map(({ name }) => name)
    const of = `record ${JSON.stringify(first?.id)} for ${this.#name}`
    if (names.length === 0) {
      throw new BizonError(
        'invalid_record',
        `${of}: neither it nor the rest of its page has a value, and there are no columns`,
        {
          hint: 'Drop empty records in a transform, or leave metadata at bizon.',
        },
      )
    }
    if (lists?.isIn(new Set(names))) return
    requireKeyColumns(options, { columns: names, isMerged: key !== undefined, of })
  }
}

/** The columns of records that a table's rows have been written with. */
export function writtenBefore({ tables, published }: TableState, table: string): readonly string[] {
  const staged = Object.hasOwn(tables, table) ? tables[table]?.columns : undefined
  return staged ?? (Object.hasOwn(published, table) ? published[table]?.columns : undefined) ?? []
}

function isOwn(name: string, { naming }: Site): boolean {
  return naming.columns.some((column) => column.name === name)
}

/** The types of a table's columns. `name`: quoted. */
async function typesOf(connection: Queries, name: string): Promise<ReadonlyMap<string, string>> {
  const { rows } = await connection.query(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    [name],
  )
  return new Map(rows.map(({ name, type }) => [String(name), String(type)]))
}

/**
 * Gives a table the columns, as far as it lacks them, or has narrower ones; those that are `retyped` whatever they are.
 * Repeatable. Rejects when one has another type: somebody has changed the table meanwhile.
 */
export async function alterTable(
  connection: Queries,
  table: string,
  columns: readonly Column[],
  retyped: ReadonlySet<string> = new Set(),
): Promise<void> {
  const before = await typesOf(connection, table)
  const missing = columns.filter(({ name }) => !before.has(name))
  if (missing.length > 0) {
    const added = missing.map((column) => `ADD COLUMN IF NOT EXISTS ${definitionOf(column)}`)
    await connection.query(`ALTER TABLE ${table} ${added.join(', ')}`)
  }
  // Read again under the lock: somebody may have been faster.
  const types = missing.length > 0 ? await typesOf(connection, table) : before
  const changes: string[] = []
  for (const { name, type } of columns) {
    const is = types.get(name)
    const change = `ALTER COLUMN ${quoteName(name)} TYPE ${type}`
    if (is === type || (is === TYPES.number && type === TYPES.integer)) continue
    if (is === TYPES.integer && type === TYPES.number) changes.push(change)
    else if (retyped.has(name) && type === TYPES.json) changes.push(`${change} USING to_jsonb(${quoteName(name)})`)
    else if (retyped.has(name)) changes.push(`${change} USING NULL`)
    else {
      throw new BizonError('destination', `${table}: column ${name} is ${is} now, not ${type}`, {
        hint: 'Somebody changed it while this run was writing. Run again.',
        retriable: true,
      })
    }
  }
  if (changes.length > 0) await connection.query(`ALTER TABLE ${table} ${changes.join(', ')}`)
}

/** The columns that a run's rows have, in the table where they are staged. */
export async function stagedColumns(
  connection: Queries,
  { fixedOf, target }: Site,
  name: string,
  { columns = [] }: StagedTable,
): Promise<{ readonly columns: readonly Column[]; readonly hasKey: boolean }> {
  const types = await typesOf(connection, name)
  return { columns: [...fixedOf(target), ...columnsIn(types, columns)], hasKey: types.has(ARRIVAL) }
}

/** What merging needs of a staging table, once it has the columns of the key. */
export async function prepareKey(connection: Queries, { key }: Site, staging: string): Promise<void> {
  if (!key) return
  const types = await typesOf(connection, staging)
  if (key.isIn(types) && !types.has(ARRIVAL)) await key.prepare(connection, staging)
}

/** Carries out what a page needs, in the transaction that gets its rows. `into`: what takes them, if it is there. */
export async function carryOut(
  transaction: Transaction,
  site: Site,
  { table, into, state, columns, step }: Carried,
): Promise<void> {
  const { options } = site
  const main = qualified(options.schema, table)
  const retyped = new Set(step.retyped.keys())
  if (into !== undefined && into !== main) await alterTable(transaction, into, columns, retyped)
  if (isDirect(state)) {
    await alterTable(transaction, main, columns)
    await indexFor(site, new Set(columns.map(({ name }) => name)))?.ensure(transaction, options.schema, table)
  } else if (into !== undefined) await prepareKey(transaction, site, into)
  faultPoint('ddl.after')
}

export interface Carried {
  readonly table: string
  readonly into: string | undefined
  readonly state: TableState
  /** All that rows are written with from here on. */
  readonly columns: readonly Column[]
  readonly step: Step
}
