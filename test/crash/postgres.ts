// Crash tests of the postgres destination: each kill has a copy of the folder and of the database. psql reads both back:
// the published rows, in order, must be what psql itself makes of the source's lines.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Client } from 'pg'
import { dropDatabase, freshDatabase, psqlEach, type TestDatabase } from '../support/services/postgres.ts'
import { differenceOf, type State, stateOf } from './oracle.ts'
import { line, lines, pipelineFile, ROWS } from './scenario.ts'
import { type Ended, type Execution, type Files, until, Workspace } from './workspace.ts'

export interface PostgresScenario {
  readonly title: string
  readonly files: Files
  /** Files of a run before it, which succeeded. */
  readonly earlier?: Files
  /** The lines that readers see before and after; undefined: there is no table. */
  readonly before?: string
  readonly after: string
  /** Order of the rows: as they came, or by their key. */
  readonly order: 'arrival' | 'key'
  /** The run has no end of its own: it is stopped as soon as this many rows are durable. */
  readonly stopAt?: number
  /** What readers may meet between kill and resume besides the old and the new content. */
  readonly meanwhile?: 'part of what was added'
}

/** To table `records` of the database in `PG_URL`, with a checkpoint after every page. */
function pipelineOf(mode: 'full_refresh' | 'incremental' | 'stream', more: readonly string[] = []): string {
  return pipelineFile({ mode }).replace(
    /^destination:\n(.*\n)*?(?=engine:)/m,
    `destination:
  name: postgres
  config:
    url: env://PG_URL
    buffer_size: 0
${more.map((key) => `    ${key}\n`).join('')}`,
  )
}

const OLD = lines(0, 60, 'old')
const ALL = lines(0, ROWS)
const EARLIER = lines(0, 60)
const KEY = ['primary_key: [id]']
/** Every seventh of the earlier ones with another price, between new ones. */
const changed = (n: number): string => line(n).replace(`"price":${n}.10`, `"price":${n}.20`)
const CHANGES = Array.from({ length: ROWS - 60 }, (_, at) =>
  at % 7 === 0 ? `${changed(at)}\n${line(60 + at)}\n` : `${line(60 + at)}\n`,
).join('')
const MERGED = Array.from({ length: ROWS }, (_, n) => `${n < ROWS - 60 && n % 7 === 0 ? changed(n) : line(n)}\n`).join(
  '',
)

export const postgresScenarios = {
  postgresFullRefresh: {
    title: 'full refresh over a published table',
    earlier: { 'pipeline.yml': pipelineOf('full_refresh'), 'source.ndjson': OLD },
    files: { 'source.ndjson': ALL },
    before: OLD,
    after: ALL,
    order: 'arrival',
  },
  postgresAppend: {
    title: 'incremental, appending',
    earlier: { 'pipeline.yml': pipelineOf('incremental'), 'source.ndjson': EARLIER },
    files: { 'source.ndjson': ALL },
    before: EARLIER,
    after: ALL,
    order: 'arrival',
  },
  postgresMerge: {
    title: 'incremental, merging',
    earlier: { 'pipeline.yml': pipelineOf('incremental', KEY), 'source.ndjson': EARLIER },
    files: { 'source.ndjson': EARLIER + CHANGES },
    before: EARLIER,
    after: MERGED,
    order: 'key',
  },
  postgresStream: {
    title: 'stream',
    files: { 'pipeline.yml': pipelineOf('stream'), 'source.ndjson': ALL },
    after: ALL,
    order: 'arrival',
    stopAt: ROWS,
    meanwhile: 'part of what was added',
  },
} satisfies Record<string, PostgresScenario>

/** A folder and the database that its pipeline loads into. */
export class Trial {
  readonly place: Workspace
  readonly database: TestDatabase

  constructor(place: Workspace, database: TestDatabase) {
    this.place = place
    this.database = database
  }

  static async prepare(scenario: PostgresScenario): Promise<Trial> {
    const place = await Workspace.create(scenario.earlier ?? scenario.files)
    const trial = new Trial(place, await freshDatabase())
    if (!scenario.earlier) return trial
    const { code, stderr } = await trial.run()
    if (code !== 0) throw new Error(`${scenario.title}: the run before failed: ${stderr}`)
    await place.write(scenario.files)
    return trial
  }

  async copy(): Promise<Trial> {
    return new Trial(await this.place.copy(), await freshDatabase(this.database.name))
  }

  run(execution: Execution = {}): Promise<Ended> {
    return this.place.bizon({ ...execution, env: { ...execution.env, PG_URL: this.database.url } })
  }

  /** Runs to the scenario's end. */
  async finish({ stopAt }: PostgresScenario, execution: Execution = {}): Promise<Ended> {
    if (stopAt === undefined) return this.run(execution)
    const client = new Client({ connectionString: this.database.url })
    await client.connect()
    try {
      const look = async (): Promise<{ epoch: string; rows: string } | undefined> => {
        const there = await client.query(`SELECT to_regclass('_bizon_state') IS NOT NULL AS found`)
        if (!there.rows[0].found) return undefined
        const found = await client.query(`SELECT epoch, coalesce(checkpoint->>'rows', '0') AS rows FROM _bizon_state`)
        return found.rows[0]
      }
      const earlier = (await look())?.epoch
      return await this.run({
        ...execution,
        during: async (child) => {
          const reached = async (): Promise<boolean> => {
            const held = await look()
            // Claimed by the new process: only then is it sure to heed signals.
            return held !== undefined && held.epoch !== earlier && Number(held.rows) >= stopAt
          }
          await until(`${stopAt} rows are durable`, reached, child)
          child.kill('SIGTERM')
        },
      })
    } finally {
      await client.end()
    }
  }

  async remove(): Promise<void> {
    await this.place.remove()
    await dropDatabase(this.database)
  }
}

const QUERIES = {
  arrival: {
    order: 'min(bizon_loaded_at) OVER (PARTITION BY left(bizon_id, 16)), bizon_id',
    lines: 'SELECT d::text FROM lines ORDER BY n',
  },
  key: { order: "source_data->>'id'", lines: "SELECT d::text FROM lines ORDER BY d->>'id'" },
}

const expected = new Map<string, Promise<string>>()

/** The source's lines as PostgreSQL shows them, loaded by psql alone. */
function linesOf({ url }: TestDatabase, text: string, order: PostgresScenario['order']): Promise<string> {
  const known = expected.get(order + text)
  if (known) return known
  const loaded = load(url, text, order)
  expected.set(order + text, loaded)
  return loaded
}

async function load(url: string, text: string, order: PostgresScenario['order']): Promise<string> {
  const child = spawn('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(`CREATE TEMP TABLE lines (n serial, d jsonb);
COPY lines (d) FROM STDIN (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02');
${text}\\.
${QUERIES[order].lines};
`)
  const out: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`psql ended with ${code}`)
  return Buffer.concat(out).toString()
}

interface Seen {
  /** Undefined: there is no table. */
  readonly rows: string | undefined
  /** `bizon_id`s, in the same order. */
  readonly ids: readonly string[]
  readonly tables: readonly string[]
  readonly held:
    | { run: string; epoch: number; phase: string; checkpoint: { page: number; end: boolean } | null }
    | undefined
}

async function look({ database: { url } }: Trial, { order }: PostgresScenario): Promise<Seen> {
  const [names = '', rows = '', ids = '', state = ''] = await psqlEach(url, [
    `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname`,
    `SELECT source_data::text FROM records ORDER BY ${QUERIES[order].order}`,
    'SELECT bizon_id FROM records',
    `SELECT json_build_object('run', run, 'epoch', epoch, 'phase', phase, 'checkpoint', checkpoint) FROM _bizon_state`,
  ])
  const tables = names.split('\n').slice(0, -1)
  return {
    rows: tables.includes('records') ? rows : undefined,
    ids: ids.split('\n').slice(0, -1),
    tables,
    held: state === '' ? undefined : JSON.parse(state),
  }
}

/** Complaints about what a reader can see, and about who knows what, at any moment between two runs. */
export async function complaintsBetween(trial: Trial, scenario: PostgresScenario, state: State): Promise<string[]> {
  const { before, after, order, meanwhile } = scenario
  const { rows, held } = await look(trial, scenario)
  const [old, all] = [
    before && (await linesOf(trial.database, before, order)),
    await linesOf(trial.database, after, order),
  ]
  const complaints: string[] = []
  const isPart = meanwhile !== undefined && rows !== undefined && all.startsWith(rows)
  if (rows !== old && rows !== all && !isPart) {
    complaints.push(`readers see neither the old nor the new: ${differenceOf(rows, all)}`)
  }
  const newest = state.jobs.at(-1)?.id
  const durable = held?.run === newest ? (held?.checkpoint?.page ?? 0) : 0
  for (const { run, page } of state.checkpoints) {
    if (run === newest && page > durable) complaints.push(`the state is at page ${page}, the table at page ${durable}`)
  }
  return complaints
}

/** Complaints after the run has come to its end. `before`: the state that its last process found. */
async function complaintsAfter(trial: Trial, scenario: PostgresScenario, before: State): Promise<string[]> {
  const { after, order, stopAt, earlier } = scenario
  const { rows, ids, tables, held } = await look(trial, scenario)
  const all = await linesOf(trial.database, after, order)
  const complaints: string[] = []
  if (rows !== all) complaints.push(`records: ${differenceOf(rows, all)}`)
  const left = tables.filter((name) => !['records', '_bizon_state'].includes(name))
  if (left.length > 0) complaints.push(`left behind: ${left}`)
  if (new Set(ids).size !== ids.length) complaints.push('two rows have one bizon_id')
  const runs = new Set(ids.map((id) => id.slice(0, 16)))
  const loads =
    earlier && order !== 'arrival' ? 2 : scenario.before !== undefined && after.startsWith(scenario.before) ? 2 : 1
  if (runs.size !== loads) complaints.push(`the rows are of ${runs.size} runs, not ${loads}`)
  const state = await stateOf(trial.place)
  const statuses = state.jobs.map(({ status }) => status)
  const succeeded = before.jobs.filter(({ status }) => status === 'succeeded').map(({ status }) => status)
  const wanted = [...succeeded, stopAt === undefined ? 'succeeded' : 'running']
  if (String(statuses) !== String(wanted)) complaints.push(`jobs are ${statuses}, not ${wanted}`)
  const last = state.checkpoints.at(-1)
  if (last?.end !== (stopAt === undefined) || held?.checkpoint?.page !== last?.page || held?.run !== last?.run) {
    complaints.push(`the state is at ${JSON.stringify(last)}, the table at ${JSON.stringify(held)}`)
  }
  if (stopAt === undefined && held?.phase !== 'published') complaints.push(`the state row says ${held?.phase}`)
  if (!(state.epoch > before.epoch)) complaints.push(`the epoch went from ${before.epoch} to ${state.epoch}`)
  return complaints
}

/** After a kill, however it came: complaints about what it left, and about what the next run makes of it. */
export async function resume(trial: Trial, scenario: PostgresScenario, program?: string): Promise<string[]> {
  const before = await stateOf(trial.place)
  const complaints = await complaintsBetween(trial, scenario, before)
  const { code, stderr } = await trial.finish(scenario, program === undefined ? {} : { program })
  const wanted = scenario.stopAt === undefined ? 0 : 143
  if (code !== wanted) return [...complaints, `the next run ended with ${code}: ${stderr}`]
  return [...complaints, ...(await complaintsAfter(trial, scenario, before))]
}

/** Kills at each point in turn, each in the run that resumes after the one before, then resumes to the end. */
export async function crash(
  prepared: Trial,
  scenario: PostgresScenario,
  failpoints: readonly string[],
  program?: string,
): Promise<string[]> {
  const trial = await prepared.copy()
  try {
    for (const failpoint of failpoints) {
      const { code, signal, stderr } = await trial.run({
        failpoint: `${failpoint}:kill`,
        ...(program !== undefined && { program }),
      })
      if (signal !== 'SIGKILL') return [`${failpoint} did not fire: exit ${code} ${stderr}`]
    }
    const complaints = await resume(trial, scenario, program)
    return complaints.map((complaint) => `${failpoints.join(', then ')}: ${complaint}`)
  } finally {
    await trial.remove()
  }
}
