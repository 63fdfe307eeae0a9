// The state row of a target: which run has staged what, and the checkpoint that its rows reach to. It is written in the
// transaction of the rows themselves, which makes the two one step. `sha256` is over all the other columns: a row
// that is replaced must be exactly the one that this process wrote last, so that a newer process, a restored copy and
// a hand are all noticed.

import { createHash } from 'node:crypto'
import type { Checkpoint } from '../../../lib/checkpoint.ts'
import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { startingOver } from '../../../lib/job.ts'
import { parseJson, stringifyJson } from '../../../lib/json.ts'
import type { Partition } from '../../../lib/partition.ts'
import type { Json } from '../../../lib/record.ts'
import type { SyncMode } from '../../../lib/source.ts'
import type { Answer, Queries } from '../../postgres.ts'
import { type Held, refuseNewer } from '../recovery.ts'
import { IN_PARTITIONS, qualified, rowKeyOf, STATE_TABLE } from './names.ts'
import type { Transaction } from './session.ts'

export interface TableState extends Held {
  /** What the run has written, by table: in staging tables, or in stream mode in the published ones. */
  readonly tables: { readonly [table: string]: StagedTable }
  /** Tables that this pipeline has published. */
  readonly published: { readonly [table: string]: PublishedTable }
}

export interface StagedTable {
  /** Null: the rows are in the published table. */
  readonly staging: string | null
  readonly rows: number
  /** With `unnest: columns`: those of records that rows were written with. */
  readonly columns?: readonly string[]
}

export interface PublishedTable {
  /** Name of the index by which rows are merged; null: none was made. */
  readonly index: string | null
  /** With `unnest: columns`: those of records that rows have been written with. */
  readonly columns?: readonly string[]
}

export const REMOVING = 'delete the row'

const COLUMNS = [
  'target',
  'owner',
  'pipeline',
  'source',
  'stream',
  'run',
  'epoch',
  'mode',
  'complete',
  'previous',
  'phase',
  'checkpoint',
  'tables',
  'published',
  'published_by',
] as const
const TYPES: Partial<Record<(typeof COLUMNS)[number], string>> = {
  epoch: 'bigint',
  complete: 'boolean',
  checkpoint: 'json',
  tables: 'json',
  published: 'json',
}

export class StateRow {
  readonly #table: string
  /** Key of the row. */
  readonly #target: string
  /** Where a person finds it. */
  readonly place: string
  /** Of the row as this process has written it. */
  #last: string | undefined

  constructor(schema: string, target: string, partition?: Partition) {
    this.#table = qualified(schema, STATE_TABLE)
    this.#target = rowKeyOf(target, partition)
    this.place = `the row of ${JSON.stringify(this.#target)} in ${schema}.${STATE_TABLE}`
  }

  /** Hash of the row as it was read, or written, last. */
  get found(): string {
    return this.#last ?? ''
  }

  async exists(transaction: Queries): Promise<boolean> {
    const { rows } = await transaction.query('SELECT to_regclass($1) IS NOT NULL AS found', [this.#table])
    return rows[0]?.found === true
  }

  async createTable(transaction: Transaction): Promise<void> {
    if (await this.exists(transaction)) return
    const columns = COLUMNS.map((name) => `${name} ${TYPES[name] ?? 'text'}`).join(', ')
    // Two runs at once would both find it missing, and one would fail.
    await transaction.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [this.#table])
    await transaction.query(
      `CREATE TABLE IF NOT EXISTS ${this.#table} (${columns}, sha256 text NOT NULL, updated_at timestamptz NOT NULL, PRIMARY KEY (target));
      COMMENT ON TABLE ${this.#table} IS 'Written by bizon in one transaction with the rows. Not to be edited.'`,
    )
  }

  /** The last commit, locked until this transaction ends: an older transaction that is still under way is waited for. */
  async read(transaction: Queries): Promise<TableState | undefined> {
    if (!(await this.exists(transaction))) return undefined
    const texts = COLUMNS.map((name) => `${name}::text`).join(', ')
    const answer = await transaction.query(`SELECT ${texts}, sha256 FROM ${this.#table} WHERE target = $1 FOR UPDATE`, [
      this.#target,
    ])
    this.#last = answer.rows[0]?.sha256 as string | undefined
    return this.#parse(answer)
  }

  /** Replaces what was read in this transaction: from here on the row is this process's. */
  async claim(transaction: Transaction, state: TableState): Promise<string> {
    if (this.#last !== undefined) return this.#update(transaction, state)
    const { texts, sha256 } = this.#print(state)
    const values = COLUMNS.map((_, at) => `$${at + 1}`).join(', ')
    const { count } = await transaction.query(
      `INSERT INTO ${this.#table} (${COLUMNS.join(', ')}, sha256, updated_at)
       VALUES (${values}, $${COLUMNS.length + 1}, clock_timestamp()) ON CONFLICT (target) DO NOTHING`,
      [...texts, sha256],
    )
    if (count !== 1) throw await this.takenOver(transaction, state)
    return sha256
  }

  /** Rejects when the row is not as this process left it. */
  async check(transaction: Transaction, mine: { readonly epoch: number }): Promise<void> {
    const { rows } = await transaction.query(`SELECT sha256 FROM ${this.#table} WHERE target = $1 FOR SHARE`, [
      this.#target,
    ])
    if (rows[0]?.sha256 !== this.#last) throw await this.takenOver(transaction, mine)
  }

  /** Rejects, so that nothing is committed, when the row is not as this process left it. Resolves to the new hash. */
  async replace(transaction: Transaction, state: TableState): Promise<string> {
    const sha256 = await this.#update(transaction, state)
    faultPoint('commit.mid')
    return sha256
  }

  async #update(transaction: Transaction, state: TableState): Promise<string> {
    const { texts, sha256 } = this.#print(state)
    const set = COLUMNS.map((name, at) => `${name} = $${at + 1}`).join(', ')
    const [hash, last] = [COLUMNS.length + 1, COLUMNS.length + 2]
    const { count } = await transaction.query(
      `UPDATE ${this.#table} SET ${set}, sha256 = $${hash}, updated_at = clock_timestamp()
       WHERE target = $1 AND sha256 = $${last}`,
      [...texts, sha256, this.#last],
    )
    if (count !== 1) throw await this.takenOver(transaction, state)
    return sha256
  }

  /** The commit that wrote the row has succeeded. */
  written(sha256: string): void {
    this.#last = sha256
  }

  /** Whether the row is the one that a commit without an answer was to write. */
  async isWritten(transaction: Transaction, sha256: string): Promise<boolean> {
    const { rows } = await transaction.query(`SELECT sha256 FROM ${this.#table} WHERE target = $1 FOR UPDATE`, [
      this.#target,
    ])
    return rows[0]?.sha256 === sha256
  }

  /** Why this process must not write. */
  async takenOver(transaction: Transaction, mine: { readonly epoch: number }): Promise<BizonError> {
    const found = await this.read(transaction)
    if (found) refuseNewer(found, mine, { state: this.place, removing: REMOVING })
    return new BizonError('edited', `${this.place} was removed or changed while this run was writing`, {
      hint: 'Leave it alone while a pipeline runs; then run again.',
    })
  }

  #print(state: TableState): { texts: (string | null)[]; sha256: string } {
    const { checkpoint, tables, published } = state
    const json = (value: unknown): string => stringifyJson(value as Json)
    const texts = [
      this.#target,
      null,
      state.pipeline,
      state.source,
      state.stream,
      state.run,
      String(state.epoch),
      state.mode,
      String(state.complete),
      state.previous,
      state.phase,
      checkpoint && json(checkpoint),
      json(tables),
      json(published),
      state.publishedBy,
    ]
    return { texts, sha256: hashOf(texts) }
  }

  #parse({ rows: [row] }: Answer): TableState | undefined {
    if (!row) return undefined
    const texts = COLUMNS.map((name) => row[name] as string | null)
    if (row.owner === null && hashOf(texts) !== row.sha256) {
      throw new BizonError('edited', `${this.place} is damaged: it is not as this program wrote it`, {
        hint: `Restore it. Or delete it, and fetch everything again: ${startingOver('incremental')}; other modes: ${startingOver('full_refresh')}.`,
      })
    }
    const text = (name: (typeof COLUMNS)[number]): string => String(row[name])
    const parts = IN_PARTITIONS.exec(String(row.owner ?? ''))?.[1]
    if (parts !== undefined) {
      throw new BizonError(
        'edited',
        `table ${this.#target} is loaded in ${parts} partitions by pipeline ${text('pipeline')}/${text('source')}/${text('stream')}`,
        {
          hint: 'Load it by bizon-extract --to-queue and bizon-load --from-queue, with as many in engine.queue.config.queue.partitions. To change that see docs/scaling.md.',
        },
      )
    }
    if (row.owner !== null) {
      const owner = `target ${text('owner')} of pipeline ${text('pipeline')}/${text('source')}/${text('stream')}`
      throw new BizonError('edited', `table ${this.#target} belongs to ${owner}, whose records name it`, {
        hint: 'Choose another destination_id. Or delete that row, if the other pipeline is gone.',
      })
    }
    const json = (name: (typeof COLUMNS)[number]): unknown => parseJson(text(name))
    return {
      pipeline: text('pipeline'),
      source: text('source'),
      stream: text('stream'),
      run: text('run'),
      epoch: Number(row.epoch),
      mode: text('mode') as SyncMode,
      complete: row.complete === 'true',
      previous: row.previous as string | null,
      phase: text('phase') as TableState['phase'],
      checkpoint: row.checkpoint === null ? null : (json('checkpoint') as Checkpoint),
      tables: json('tables') as TableState['tables'],
      published: json('published') as TableState['published'],
      publishedBy: row.published_by as string | null,
    }
  }
}

export function hashOf(texts: readonly (string | null)[]): string {
  return createHash('sha256').update(JSON.stringify(texts)).digest('hex')
}
