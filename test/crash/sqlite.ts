// Crash tests of the sqlite destination: each kill has a copy of the folder. The program sqlite3 reads the database back,
// from a copy: the published rows, in order, must be the source's own lines.

import { differenceOf, type State, stateOf } from './oracle.ts'
import { line, lines, pipelineFile, ROWS } from './scenario.ts'
import { sqlite3Says } from './sqlite3.ts'
import { type Ended, type Execution, type Files, until, Workspace } from './workspace.ts'

export interface SqliteScenario {
  readonly title: string
  readonly files: Files
  /** Files of a run before it, which succeeded; then SQL that a person has done to its table. */
  readonly earlier?: Files
  readonly changed?: string
  /** The lines that readers see before and after; undefined: there is no table. */
  readonly before?: string
  readonly after: string
  /** How many runs the rows are of in the end. */
  readonly runs: 1 | 2
  /** The run has no end of its own: it is stopped as soon as this many rows are durable. */
  readonly stopAt?: number
  /** What readers may meet between kill and resume besides the old and the new content. */
  readonly meanwhile?: 'part of what was added'
}

/** To table `records` of `data.sqlite3`, with a checkpoint after every page. */
function pipelineOf(mode: 'full_refresh' | 'incremental' | 'stream', more: readonly string[] = []): string {
  return pipelineFile({ mode }).replace(
    /^destination:\n(.*\n)*?(?=engine:)/m,
    `destination:
  name: sqlite
  config:
    path: data.sqlite3
    buffer_size: 0
${more.map((key) => `    ${key}\n`).join('')}`,
  )
}

const OLD = lines(0, 60, 'old')
const ALL = lines(0, ROWS)
const EARLIER = lines(0, 60)
const KEY = ['primary_key: [id]', 'cursor_field: price']
/** Every seventh of the earlier ones with another price, between new ones. */
const changed = (n: number): string => line(n).replace(`"price":${n}.10`, `"price":${n}.20`)
const CHANGES = Array.from({ length: ROWS - 60 }, (_, at) =>
  at % 7 === 0 ? `${changed(at)}\n${line(60 + at)}\n` : `${line(60 + at)}\n`,
).join('')
const MERGED = Array.from({ length: ROWS }, (_, n) => `${n < ROWS - 60 && n % 7 === 0 ? changed(n) : line(n)}\n`).join(
  '',
)

export const sqliteScenarios = {
  sqliteFullRefresh: {
    title: 'full refresh over a published table with indexes and a view',
    earlier: { 'pipeline.yml': pipelineOf('full_refresh'), 'source.ndjson': OLD },
    changed:
      "CREATE INDEX by_record ON records (source_record_id); CREATE VIEW prices AS SELECT source_data ->> '$.price' AS price FROM records",
    files: { 'source.ndjson': ALL },
    before: OLD,
    after: ALL,
    runs: 1,
  },
  sqliteRefill: {
    title: 'full refresh over a table that people have changed',
    earlier: { 'pipeline.yml': pipelineOf('full_refresh'), 'source.ndjson': OLD },
    changed: `ALTER TABLE records ADD COLUMN note TEXT DEFAULT 'new';
      CREATE TABLE counted (n INTEGER); INSERT INTO counted VALUES (60);
      CREATE TRIGGER more AFTER INSERT ON records BEGIN UPDATE counted SET n = n + 1; END;
      CREATE TRIGGER less AFTER DELETE ON records BEGIN UPDATE counted SET n = n - 1; END`,
    files: { 'source.ndjson': ALL },
    before: OLD,
    after: ALL,
    runs: 1,
  },
  sqliteAppend: {
    title: 'incremental, appending',
    earlier: { 'pipeline.yml': pipelineOf('incremental'), 'source.ndjson': EARLIER },
    files: { 'source.ndjson': ALL },
    before: EARLIER,
    after: ALL,
    runs: 2,
  },
  sqliteMerge: {
    title: 'incremental, merging',
    earlier: { 'pipeline.yml': pipelineOf('incremental', KEY), 'source.ndjson': EARLIER },
    files: { 'source.ndjson': EARLIER + CHANGES },
    before: EARLIER,
    after: MERGED,
    runs: 2,
  },
  sqliteStream: {
    title: 'stream',
    files: { 'pipeline.yml': pipelineOf('stream'), 'source.ndjson': ALL },
    after: ALL,
    runs: 1,
    stopAt: ROWS,
    meanwhile: 'part of what was added',
  },
} satisfies Record<string, SqliteScenario>

export async function prepare(scenario: SqliteScenario): Promise<Workspace> {
  const place = await Workspace.create(scenario.earlier ?? scenario.files)
  if (!scenario.earlier) return place
  const { code, stderr } = await place.bizon()
  if (code !== 0) throw new Error(`${scenario.title}: the run before failed: ${stderr}`)
  if (scenario.changed) await place.execute(['sqlite3', '-bail', 'data.sqlite3', scenario.changed])
  await place.write(scenario.files)
  return place
}

/** Runs to the scenario's end. */
export async function finish(place: Workspace, scenario: SqliteScenario, execution: Execution = {}): Promise<Ended> {
  const { stopAt } = scenario
  if (stopAt === undefined) return place.bizon(execution)
  const earlier = (await look(place)).held?.epoch
  return place.bizon({
    ...execution,
    during: async (child) => {
      const reached = async (): Promise<boolean> => {
        const { held } = await look(place)
        // Claimed by the new process: only then is it sure to heed signals.
        return held !== undefined && held.epoch !== earlier && (held.checkpoint?.rows ?? 0) >= stopAt
      }
      await until(`${stopAt} rows are durable`, reached, child)
      child.kill('SIGTERM')
    },
  })
}

interface Seen {
  /** Undefined: there is no table. */
  readonly rows: string | undefined
  /** `bizon_id`s, in the same order. */
  readonly ids: readonly string[]
  /** Tables, indexes, views and triggers. */
  readonly names: readonly string[]
  readonly held:
    | {
        run: string
        epoch: number
        phase: string
        checkpoint: { page: number; rows: number; end: boolean } | null
      }
    | undefined
  /** What the triggers of a person have counted, if there are any. */
  readonly counted: number | undefined
}

const NOTHING: Seen = { rows: undefined, ids: [], names: [], held: undefined, counted: undefined }

/** Answers, each behind a line that no row can be. */
const SCRIPT = `PRAGMA integrity_check;
.print =
SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_auto%' ORDER BY name;
.print =
SELECT source_data FROM records ORDER BY rowid;
.print =
SELECT bizon_id FROM records ORDER BY rowid;
.print =
SELECT json_set(state, '$.epoch', epoch) FROM _bizon_state WHERE state IS NOT NULL;
.print =
SELECT n FROM counted;
`

async function look(place: Workspace): Promise<Seen> {
  const said = (await sqlite3Says(place, 'data.sqlite3', SCRIPT)) ?? ''
  const [whole = '', names = '', rows = '', ids = '', held = '', counted = ''] = said.split(/^=\n/m)
  if (names === '') return NOTHING
  if (whole !== 'ok\n') throw new Error(`the database is damaged: ${whole}`)
  const list = (text: string): string[] => text.split('\n').slice(0, -1)
  return {
    names: list(names),
    rows: list(names).includes('records') ? rows : undefined,
    ids: list(ids),
    held: held === '' ? undefined : JSON.parse(held),
    counted: counted === '' ? undefined : Number(counted),
  }
}

/** Complaints about what a reader can see, and about who knows what, at any moment between two runs. */
export async function complaintsBetween(place: Workspace, scenario: SqliteScenario, state: State): Promise<string[]> {
  const { before, after, meanwhile } = scenario
  const seen = await look(place)
  const { rows, held } = seen
  const complaints = triggerComplaints(seen)
  const isPart = meanwhile !== undefined && rows !== undefined && after.startsWith(rows)
  if (rows !== before && rows !== after && !isPart) {
    complaints.push(`readers see neither the old nor the new: ${differenceOf(rows, after)}`)
  }
  const newest = state.jobs.at(-1)?.id
  const durable = held?.run === newest ? (held?.checkpoint?.page ?? 0) : 0
  for (const { run, page } of state.checkpoints) {
    if (run === newest && page > durable) complaints.push(`the state is at page ${page}, the table at page ${durable}`)
  }
  return complaints
}

function triggerComplaints({ counted, ids }: Seen): string[] {
  return counted === undefined || counted === ids.length ? [] : [`triggers saw ${counted} of ${ids.length} rows`]
}

/** Complaints after the run has come to its end. `before`: the state that its last process found. */
async function complaintsAfter(
  place: Workspace,
  scenario: SqliteScenario,
  names: readonly string[],
  before: State,
): Promise<string[]> {
  const { after, stopAt, runs } = scenario
  const seen = await look(place)
  const { rows, ids, held } = seen
  const complaints = triggerComplaints(seen)
  if (rows !== after) complaints.push(`records: ${differenceOf(rows, after)}`)
  const should = [...new Set([...names, '_bizon_state', 'records'])].filter(
    (name) => !name.includes('__bizon_staging_'),
  )
  if (String(seen.names) !== String(should.sort())) complaints.push(`there are ${seen.names}, not ${should}`)
  if (new Set(ids).size !== ids.length) complaints.push('two rows have one bizon_id')
  const found = new Set(ids.map((id) => id.slice(0, 16))).size
  if (found !== runs) complaints.push(`the rows are of ${found} runs, not ${runs}`)
  const state = await stateOf(place)
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
  const left = (await place.list()).filter((name) => /data\.sqlite3[-.]/.test(name))
  if (left.length > 0) complaints.push(`left behind: ${left}`)
  return complaints
}

/** After a kill, however it came: complaints about what it left, and about what the next run makes of it. */
export async function resume(place: Workspace, scenario: SqliteScenario, program?: string): Promise<string[]> {
  const before = await stateOf(place)
  const { names } = await look(place)
  const complaints = await complaintsBetween(place, scenario, before)
  const { code, stderr } = await finish(place, scenario, program === undefined ? {} : { program })
  const wanted = scenario.stopAt === undefined ? 0 : 143
  if (code !== wanted) return [...complaints, `the next run ended with ${code}: ${stderr}`]
  return [...complaints, ...(await complaintsAfter(place, scenario, names, before))]
}

/** Kills at each point in turn, each in the run that resumes after the one before, then resumes to the end. */
export async function crash(
  prepared: Workspace,
  scenario: SqliteScenario,
  failpoints: readonly string[],
  program?: string,
): Promise<string[]> {
  const place = await prepared.copy()
  try {
    for (const failpoint of failpoints) {
      const { code, signal, stderr } = await place.bizon({
        failpoint: `${failpoint}:kill`,
        ...(program !== undefined && { program }),
      })
      if (signal !== 'SIGKILL') return [`${failpoint} did not fire: exit ${code} ${stderr}`]
    }
    const complaints = await resume(place, scenario, program)
    return complaints.map((complaint) => `${failpoints.join(', then ')}: ${complaint}`)
  } finally {
    await place.remove()
  }
}
