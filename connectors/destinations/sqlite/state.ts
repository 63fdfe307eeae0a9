// The state row of a target: which run has staged what, and the checkpoint that its rows reach to. It is written in the
// transaction of the rows themselves, which makes the two one step. A row that is replaced must be exactly the one that
// this process wrote last, so that a newer process, a restored copy and a hand are all noticed.
//
// A table that records were routed to has a row of its own, which names the target that it belongs to.

import { createHash } from 'node:crypto'
import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { startingOver } from '../../../lib/job.ts'
import { parseJson, stringifyJson } from '../../../lib/json.ts'
import type { Json } from '../../../lib/record.ts'
import type { Row } from '../../sqlite/thread.ts'
import { type Held, refuseNewer } from '../recovery.ts'
import { isSameName, STATE_TABLE } from './names.ts'
import type { Session } from './session.ts'
import type { Kind } from './types.ts'

export interface TableState extends Held {
  /** What the run has written, by table: in staging tables, or in stream mode in the published ones. */
  readonly tables: { readonly [table: string]: StagedTable }
  /** Tables that this pipeline has published. */
  readonly published: readonly string[]
  /** With `unnest: columns`: what the columns of published tables keep, by table. */
  readonly kinds?: { readonly [table: string]: Kinds }
}

/** By the name of the column. */
export type Kinds = { readonly [column: string]: Kind }

export interface StagedTable {
  /** Null: the rows are in the published table. */
  readonly staging: string | null
  readonly rows: number
  /** With `unnest: columns`: what the columns keep that rows were written with. */
  readonly kinds?: Kinds
}

export const REMOVING = 'delete the row'

const CREATE = `CREATE TABLE IF NOT EXISTS ${STATE_TABLE} (
  target TEXT PRIMARY KEY COLLATE NOCASE,
  owner TEXT NOT NULL,
  epoch INTEGER,
  state TEXT,
  sha256 TEXT,
  updated_at TEXT NOT NULL
)`
const NOW = "strftime('%Y-%m-%dT%H:%M:%fZ')"

export class StateRow {
  readonly #session: Session
  readonly #target: string
  /** Where a person finds it. */
  readonly place: string
  /** The hash of the row as this process has written it. */
  #last: string | undefined

  constructor(session: Session, target: string) {
    this.#session = session
    this.#target = target
    this.place = `the row of ${JSON.stringify(target)} in ${STATE_TABLE} of ${session.path}`
  }

  async createTable(): Promise<void> {
    if (!(await this.#holds(STATE_TABLE))) await this.#session.change(CREATE)
  }

  /** Rejects the file in which a state store keeps its jobs: a run could replace them. */
  async checkFile(): Promise<void> {
    if (!(await this.#holds('stream_jobs'))) return
    throw new BizonError('destination', `${this.#session.path} holds the state of pipelines, and is not for records`, {
      hint: 'Choose another path than the file of engine.backend.',
    })
  }

  async #holds(table: string): Promise<boolean> {
    return (await this.#session.read('SELECT 1 FROM sqlite_schema WHERE name = ? COLLATE NOCASE', [table])).length > 0
  }

  async read(): Promise<TableState | undefined> {
    if (!(await this.#holds(STATE_TABLE))) return undefined
    const [row] = await this.#session.read(`SELECT * FROM ${STATE_TABLE} WHERE target = ?`, [this.#target])
    if (!row) return undefined
    if (!isSameName(String(row.owner), this.#target)) {
      if (!(await this.#exists(String(row.owner)))) return undefined
      throw ownedByAnother(this.#session.path, this.#target, String(row.owner))
    }
    return this.#parse(row)
  }

  /** Replaces whatever is there, which was read in this transaction: from here on the row is this process's. */
  async claim(state: TableState): Promise<string> {
    const { epoch, text, sha256 } = this.#print(state)
    await this.#session.change(
      `INSERT INTO ${STATE_TABLE} (target, owner, epoch, state, sha256, updated_at) VALUES (?, ?, ?, ?, ?, ${NOW})
       ON CONFLICT DO UPDATE SET target = excluded.target, owner = excluded.owner, epoch = excluded.epoch,
         state = excluded.state, sha256 = excluded.sha256, updated_at = excluded.updated_at`,
      [this.#target, this.#target, epoch, text, sha256],
    )
    return sha256
  }

  /** Rejects, so that nothing is committed, when the row is not as this process left it. Resolves to the new hash. */
  async replace(state: TableState): Promise<string> {
    const { epoch, text, sha256 } = this.#print(state)
    const changed = await this.#session.change(
      `UPDATE ${STATE_TABLE} SET epoch = ?, state = ?, sha256 = ?, updated_at = ${NOW} WHERE target = ? AND sha256 = ?`,
      [epoch, text, sha256, this.#target, this.#last ?? null],
    )
    if (changed !== 1) throw await this.#takenOver(state)
    faultPoint('commit.mid')
    return sha256
  }

  /** The commit that wrote the row has succeeded. */
  written(sha256: string): void {
    this.#last = sha256
  }

  /** Rejects when the row is not as this process left it. */
  async check(mine: { readonly epoch: number }): Promise<void> {
    const [row] = await this.#session.read(`SELECT sha256 FROM ${STATE_TABLE} WHERE target = ?`, [this.#target])
    if (row?.sha256 !== this.#last) throw await this.#takenOver(mine)
  }

  /**
   * Makes a table that records name this target's own. Rejects when it is another's. Resolves to whether it was its own.
   */
  async own(table: string): Promise<boolean> {
    if (isSameName(table, this.#target)) return true
    const [row] = await this.#session.read(`SELECT owner FROM ${STATE_TABLE} WHERE target = ?`, [table])
    if (row) {
      const owner = String(row.owner)
      if (isSameName(owner, this.#target)) return true
      if (await this.#exists(owner)) throw ownedByAnother(this.#session.path, table, owner)
    }
    await this.#session.change(
      `INSERT OR REPLACE INTO ${STATE_TABLE} (target, owner, updated_at) VALUES (?, ?, ${NOW})`,
      [table, this.#target],
    )
    return false
  }

  /** Lets go of the tables that records named, but for `kept`. */
  async release(kept: readonly string[]): Promise<void> {
    await this.#session.change(
      `DELETE FROM ${STATE_TABLE} WHERE owner = ? COLLATE NOCASE AND state IS NULL AND target <> ?
         AND target NOT IN (SELECT value FROM json_each(?))`,
      [this.#target, this.#target, JSON.stringify(kept)],
    )
  }

  async #exists(owner: string): Promise<boolean> {
    const sql = `SELECT 1 FROM ${STATE_TABLE} WHERE target = ? AND state IS NOT NULL`
    return (await this.#session.read(sql, [owner])).length > 0
  }

  /** Why this process must not write. */
  async #takenOver(mine: { readonly epoch: number }): Promise<BizonError> {
    const found = await this.read()
    if (found) refuseNewer(found, mine, { state: this.place, removing: REMOVING })
    return new BizonError('edited', `${this.place} was removed or changed while this run was writing`, {
      hint: 'Leave it alone while a pipeline runs; then run again.',
    })
  }

  #print(state: TableState): { epoch: number; text: string; sha256: string } {
    const { epoch, ...rest } = state
    const text = stringifyJson(rest as unknown as Json)
    return { epoch, text, sha256: hashOf(this.#target, epoch, text) }
  }

  #parse({ target, epoch, state, sha256 }: Row): TableState {
    if (sha256 === null || hashOf(String(target), Number(epoch), String(state)) !== sha256) {
      throw new BizonError('edited', `${this.place} is damaged: it is not as this program wrote it`, {
        hint: `Restore it. Or delete it, and fetch everything again: ${startingOver('incremental')}; other modes: ${startingOver('full_refresh')}.`,
      })
    }
    return { ...(parseJson(String(state)) as unknown as Omit<TableState, 'epoch'>), epoch: Number(epoch) }
  }
}

function ownedByAnother(path: string, table: string, owner: string): BizonError {
  return new BizonError(
    'edited',
    `table ${table} of ${path} belongs to the pipeline of ${owner}, whose records were routed there`,
    { hint: 'Choose another destination_id. Or delete that row of the state, if the other pipeline is gone.' },
  )
}

function hashOf(target: string, epoch: number, state: string): string {
  return createHash('sha256')
    .update(JSON.stringify([target, epoch, state]))
    .digest('hex')
}
