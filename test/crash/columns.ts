// Crash tests of `unnest: columns`: a source whose records get further fields and other numbers as it goes on, killed around
// each change of the columns, and resumed. The destinations say how rows and columns are read back, by another program.

import { appendFile } from 'node:fs/promises'
import { differenceOf } from './oracle.ts'
import type { Ended, Execution, Files, Workspace } from './workspace.ts'

export type Mode = 'full_refresh' | 'incremental' | 'stream'

export interface Kind {
  readonly name: string
  /** Those of `records` once the earlier run has ended, and in the end, sorted. */
  readonly columns: { readonly before: string; readonly after: string }
  prepare(mode: Mode, files: Files): Promise<Place>
}

export interface Place {
  readonly place: Workspace
  run(execution?: Execution): Promise<Ended>
  /** To its end, or until so many rows are durable. */
  finish(stopAt: number | undefined, execution?: Execution): Promise<Ended>
  look(): Promise<Seen>
  remove(): Promise<void>
}

export interface Seen {
  readonly rows: readonly object[]
  readonly columns: readonly string[]
  readonly tables: readonly string[]
  /** Rows of the run's last checkpoint. */
  readonly durable: number
}

/** Records 0 to 9 have one form; then comes a field, then other numbers, then another field in the place of the first. */
function recordOf(n: number): object {
  const a = n >= 20 && n % 2 === 0 ? n + 0.5 : n
  return { id: n, a, ...(n >= 10 && n < 30 && { b: `x${n}` }), ...(n >= 30 && { c: n % 2 === 0 }) }
}

export const ROWS = 40
const EARLIER = 10
const lines = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, at) => `${JSON.stringify(recordOf(from + at))}\n`).join('')
const rowOf = (n: number): object => ({ a: null, b: null, c: null, ...recordOf(n) })
const rowsTo = (count: number, form: (n: number) => object): object[] =>
  Array.from({ length: count }, (_, n) => form(n))

const sorted = (columns: readonly string[]): string => [...columns].sort().join(', ')

/** Text that is the same for the same rows, whatever the order of their columns. */
const textOf = (rows: readonly object[]): string =>
  rows.map((row) => JSON.stringify(Object.entries(row).sort(([one], [other]) => (one < other ? -1 : 1)))).join('\n')

export interface Crash {
  readonly mode: Mode
  readonly failpoints: readonly string[]
  /** The source has only records of the first form, until after the last kill. */
  readonly changesAfter?: boolean
}

/** Kills at each point in turn, each in the run that resumes after the one before, then resumes to the end: complaints. */
export async function crash(
  kind: Kind,
  { mode, failpoints, changesAfter }: Crash,
  program?: string,
): Promise<string[]> {
  const isStream = mode === 'stream'
  const all = { 'source.ndjson': lines(0, ROWS) }
  const trial = await kind.prepare(mode, { 'source.ndjson': lines(0, EARLIER) })
  const twin = program === undefined ? {} : { program }
  try {
    if (!isStream) {
      const { code, stderr } = await trial.run(twin)
      if (code !== 0) return [`the earlier run failed: ${stderr}`]
    }
    const same = changesAfter ? lines(0, EARLIER) + lines(0, EARLIER).replaceAll('"id":', '"id":1') : undefined
    await trial.place.write(same === undefined ? all : { 'source.ndjson': same })
    const complaints: string[] = []
    for (const failpoint of failpoints) {
      const { code, signal, stderr } = await trial.run({ failpoint: `${failpoint}:kill`, ...twin })
      if (signal !== 'SIGKILL') return [`${failpoint} did not fire: exit ${code} ${stderr}`]
      complaints.push(...(await between(kind, trial, mode)))
    }
    if (same !== undefined) await appendFile(trial.place.path('source.ndjson'), lines(20, ROWS))
    const { code, stderr } = await trial
      .finish(isStream ? ROWS : undefined, twin)
      .catch((error: unknown) => ({ code: undefined, stderr: String(error) }))
    if (code !== (isStream ? 143 : 0)) return [...complaints, `the next run ended with ${code}: ${stderr}`]
    complaints.push(...(await after(kind, trial, same === undefined ? rowOf : withoutB)))
    return complaints.map((complaint) => `${mode}, ${failpoints.join(', then ')}: ${complaint}`)
  } finally {
    await trial.remove()
  }
}

/** Records 10 to 19 are of the first form too, where the change comes after them. */
const withoutB = (n: number): object => (n >= 10 && n < 20 ? { ...rowOf(n), a: n - 10, b: null } : rowOf(n))

async function between(kind: Kind, trial: Place, mode: Mode): Promise<string[]> {
  const { rows, columns, durable } = await trial.look()
  if (mode === 'stream') {
    const used = new Set(
      rows.flatMap((row) => Object.entries(row).flatMap(([name, value]) => (value === null ? [] : [name]))),
    )
    const names = columns.map((column) => column.split(' ')[0])
    const idle = names.filter((name = '') => !used.has(name))
    return [
      ...(rows.length === durable ? [] : [`there are ${rows.length} rows, and the checkpoint is at ${durable}`]),
      ...(idle.length === 0 ? [] : [`column ${idle} is there before its rows`]),
    ]
  }
  const isNew = sorted(columns) === kind.columns.after && rows.length === ROWS
  const isOld = sorted(columns) === kind.columns.before && rows.length === EARLIER
  return isNew || isOld ? [] : [`readers see ${rows.length} rows with ${columns}`]
}

async function after(kind: Kind, trial: Place, form: (n: number) => object): Promise<string[]> {
  const { rows, columns, tables } = await trial.look()
  const complaints: string[] = []
  const [is, wanted] = [textOf(rows), textOf(rowsTo(ROWS, form))]
  if (is !== wanted) complaints.push(`records: ${differenceOf(is, wanted)}`)
  if (sorted(columns) !== kind.columns.after) complaints.push(`the columns are ${columns}`)
  if (String(tables) !== '_bizon_state,records') complaints.push(`there are ${tables}`)
  return complaints
}
