// Crash tests of a state in PostgreSQL: the pipelines that are killed, and what must be there in the end. psql reads the
// state, and the rows where they are in the same database; files are read as they are.

import { backendOf } from '../support/postgres-store.ts'
import { dropDatabase, freshDatabase, psql, type TestDatabase } from '../support/services/postgres.ts'
import { lines, pipelineFile, ROWS } from './scenario.ts'
import { type Ended, type Execution, Workspace } from './workspace.ts'

export interface StateScenario {
  readonly title: string
  readonly mode: 'full_refresh' | 'incremental'
  readonly destination: 'file' | 'postgres'
  /** The source's lines of an earlier run, and of the one that is killed. */
  readonly before: string
  readonly after: string
}

export const stateScenarios = {
  file: {
    title: 'a full refresh over a file',
    mode: 'full_refresh',
    destination: 'file',
    before: lines(0, 60, 'old'),
    after: lines(0, ROWS),
  },
  table: {
    title: 'an append to a table beside the state',
    mode: 'incremental',
    destination: 'postgres',
    before: lines(0, 60),
    after: lines(0, ROWS),
  },
} as const satisfies { readonly [name: string]: StateScenario }

function pipelineOf({ mode, destination }: StateScenario, url: string): string {
  const whole = pipelineFile({ mode, destination: ['metadata: none'] }).replace(
    /backend:\n(.*\n)*?(?= {2}runner:)/m,
    `${backendOf(url, 'state')}\n`,
  )
  if (destination === 'file') return whole
  return whole.replace(
    /^destination:\n(.*\n)*?(?=engine:)/m,
    `destination:\n  name: postgres\n  config:\n    url: ${url}\n    buffer_size: 0\n`,
  )
}

export interface StateSeen {
  /** In the order in which they began. */
  readonly jobs: readonly { readonly id: string; readonly status: string; readonly attempt: number }[]
  /** Of the newest job, the newest last. */
  readonly checkpoints: readonly { readonly page: number; readonly rows: number; readonly end: boolean }[]
  /** Of the newest job, added up. */
  readonly written: number
  readonly epoch: number
}

/** A folder, and the database with the state of its pipeline. */
export class StateTrial {
  readonly place: Workspace
  readonly database: TestDatabase
  readonly scenario: StateScenario

  constructor(place: Workspace, database: TestDatabase, scenario: StateScenario) {
    this.place = place
    this.database = database
    this.scenario = scenario
  }

  /** As the run that is going to be killed finds it. */
  static async prepare(scenario: StateScenario): Promise<StateTrial> {
    const trial = new StateTrial(await Workspace.create(), await freshDatabase(), scenario)
    await psql(trial.database.url, 'CREATE SCHEMA state')
    await trial.place.write({ 'source.ndjson': scenario.before })
    await trial.point()
    const { code, stderr } = await trial.run()
    if (code !== 0) throw new Error(`${scenario.title}: the run before failed: ${stderr}`)
    await trial.place.write({ 'source.ndjson': scenario.after })
    return trial
  }

  /** The pipeline file for this database. */
  async point(): Promise<void> {
    await this.place.write({ 'pipeline.yml': pipelineOf(this.scenario, this.database.url) })
  }

  /** Nobody must be connected to the database. */
  async copy(): Promise<StateTrial> {
    const copy = new StateTrial(await this.place.copy(), await freshDatabase(this.database.name), this.scenario)
    await copy.point()
    return copy
  }

  run(execution: Execution = {}): Promise<Ended> {
    return this.place.bizon(execution)
  }

  async remove(): Promise<void> {
    await this.place.remove()
    await dropDatabase(this.database)
  }

  /** What readers see, in the source's order. */
  async rows(): Promise<string> {
    if (this.scenario.destination === 'file') return (await this.place.read('out/records.json'))?.toString() ?? ''
    return psql(
      this.database.url,
      `SELECT source_data->>'id', source_data->>'price', source_data->>'big', source_data->>'text'
       FROM records ORDER BY substr(source_data->>'id', 2)::int`,
    )
  }

  async state(): Promise<StateSeen> {
    const text = await psql(
      this.database.url,
      `SET search_path = state;
       SELECT json_build_object(
         'jobs', (SELECT json_agg(json_build_object('id', id, 'status', status, 'attempt', attempt) ORDER BY rowid) FROM stream_jobs),
         'checkpoints', (SELECT coalesce(json_agg(checkpoint::json ORDER BY rowid), '[]') FROM destination_cursors
            WHERE job_id = (SELECT id FROM stream_jobs ORDER BY rowid DESC LIMIT 1)),
         'written', (SELECT coalesce(sum(rows_written), 0) FROM destination_cursors
            WHERE job_id = (SELECT id FROM stream_jobs ORDER BY rowid DESC LIMIT 1)),
         'epoch', (SELECT epoch FROM bizon_leases))`,
    )
    return JSON.parse(text) as StateSeen
  }
}
