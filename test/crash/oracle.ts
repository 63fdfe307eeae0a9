// What is right, said by other programs: jq reads the published files back, sqlite3 the state. Whatever they say is
// compared with the source's own text, so that a changed digit is as much a fault as a lost row.

import { isDeepStrictEqual } from 'node:util'
import { csvColumn, heldByParts, isPart, partColumn } from './read-formats.ts'
import type { Scenario, Target } from './scenario.ts'
import { sqlite3Says } from './sqlite3.ts'
import type { Workspace } from './workspace.ts'

/** What `bizon` left on disk, as far as it is the oracle's business. */
export interface Sidecar {
  readonly run: string
  readonly epoch: number
  readonly phase: string
  readonly checkpoint: { readonly page: number; readonly rows: number; readonly end: boolean } | null
}

export interface State {
  readonly jobs: readonly { readonly id: string; readonly status: string }[]
  readonly checkpoints: readonly {
    readonly run: string
    readonly page: number
    readonly rows: number
    readonly end: boolean
  }[]
  readonly epoch: number
}

/** Complaints about what a reader can see, and about who knows what, at any moment between two runs. */
export async function complaintsBetween(place: Workspace, scenario: Scenario, state: State): Promise<string[]> {
  const complaints: string[] = []
  for (const target of scenario.targets) {
    const seen = await wholeLines(place, target)
    if (seen === target.before || seen === target.after) continue
    const before = target.before ?? ''
    const part = seen?.startsWith(before) && target.after.startsWith(seen)
    if (scenario.meanwhile && part) continue
    complaints.push(`${target.path} is neither old nor new: ${differenceOf(seen, target.after)}`)
  }
  complaints.push(...aheadOfDestination(await sidecarOf(place, scenario.sidecar), state))
  return complaints
}

/** The state store holds a copy: it may lag behind the destination's own checkpoint, never be ahead of it. */
function aheadOfDestination(held: Sidecar | undefined, { jobs, checkpoints }: State): string[] {
  const newest = jobs.at(-1)?.id
  const durable = held?.run === newest ? (held?.checkpoint?.page ?? 0) : 0
  const ahead = checkpoints.filter(({ run, page }) => run === newest && page > durable)
  return ahead.map(({ page }) => `the state is at page ${page}, the files at page ${durable}`)
}

/** Complaints after the run has come to its end. `before`: the state that its last process found. */
export async function complaintsAfter(place: Workspace, scenario: Scenario, before: State): Promise<string[]> {
  const complaints: string[] = []
  for (const target of scenario.targets) {
    const found = await sourceLines(place, target)
    if (found !== target.after) complaints.push(`${target.path}: ${differenceOf(found, target.after)}`)
    if (target.holds === 'six columns') complaints.push(...(await idComplaints(place, target, scenario)))
  }
  complaints.push(...(await deadLetterComplaints(place, scenario)))
  const state = await stateOf(place)
  const earlier = before.jobs.flatMap(({ status }) => (status === 'succeeded' ? [status] : []))
  const expected = [...earlier, scenario.stopAt === undefined ? 'succeeded' : 'running']
  const statuses = state.jobs.map(({ status }) => status)
  if (!isDeepStrictEqual(statuses, expected)) complaints.push(`jobs are ${statuses}, not ${expected}`)
  const last = state.checkpoints.at(-1)
  if (!last || last.end !== (scenario.stopAt === undefined)) {
    complaints.push(`the last checkpoint is ${JSON.stringify(last)}`)
  }
  if (!(state.epoch > before.epoch)) complaints.push(`the epoch went from ${before.epoch} to ${state.epoch}`)
  const held = await sidecarOf(place, scenario.sidecar)
  if (held?.run !== last?.run) complaints.push(`the state's run is ${last?.run}, the files' ${held?.run}`)
  const left = (await place.list()).filter((name) => !isExpected(name, scenario))
  if (left.length > 0) complaints.push(`left behind: ${left}`)
  return complaints
}

/** Lines may be there more than once; each is whole. */
async function deadLetterComplaints(place: Workspace, { deadLetters }: Scenario): Promise<string[]> {
  if (!deadLetters) return []
  const { path, records } = deadLetters
  const found = (await jq(place, ['.record.n', path])).split('\n').slice(0, -1).map(Number)
  const missing = records.filter((record) => !found.includes(record))
  const strange = found.filter((record) => !records.includes(record))
  return missing.length + strange.length === 0 ? [] : [`${path}: missing ${missing}; not expected ${strange}`]
}

function isExpected(name: string, { targets, sidecar, files, earlier, deadLetters }: Scenario): boolean {
  return (
    targets.some(({ path, readBy }) => path === name || (readBy === 'duckdb' && isPart(path, name))) ||
    name === deadLetters?.path ||
    [sidecar, 'state.sqlite3'].includes(name) ||
    name in files ||
    name in (earlier ?? {})
  )
}

/** The ids of a run's rows count from 0 without a gap, whatever was written again; each run has its own. */
async function idComplaints(place: Workspace, target: Target, scenario: Scenario): Promise<string[]> {
  const { path } = target
  const ids = (await columnOf(place, target, 'bizon_id')).split('\n').slice(0, -1)
  const runs = new Map<string, number>()
  for (const id of ids) {
    const [run, row] = [id.slice(0, 16), Number.parseInt(id.slice(16), 16)]
    const expected = runs.get(run) ?? 0
    if (row !== expected) return [`${path}: bizon_id ${id} where row ${expected} of its run was expected`]
    runs.set(run, expected + 1)
  }
  const loads = scenario.earlier && (scenario.meanwhile || scenario.addsAtOnce) ? 2 : 1
  return runs.size === loads ? [] : [`${path}: its rows are of ${runs.size} runs, not ${loads}`]
}

/** The source's lines as the published file gives them back. */
export async function sourceLines(place: Workspace, target: Target): Promise<string | undefined> {
  const { path, holds, readBy } = target
  if (readBy === 'duckdb') return partColumn(place.path(path), 'source_data')
  const bytes = await place.read(path)
  if (bytes === undefined) return undefined
  if (holds === 'six columns') return columnOf(place, target, 'source_data')
  await jq(place, ['-e', '-n', 'reduce inputs as $row (true; . and ($row | type == "object"))', path])
  return bytes.toString()
}

/** The texts of one of the six columns, a line each. */
async function columnOf(place: Workspace, { path, readBy }: Target, name: string): Promise<string> {
  if (readBy === 'duckdb') return (await partColumn(place.path(path), name)) ?? ''
  return readBy === 'csv' ? csvColumn(place, path, name) : jq(place, ['-r', `.${name}`, path])
}

/** As `sourceLines`, without a last line that is not complete. */
async function wholeLines(place: Workspace, target: Target): Promise<string | undefined> {
  if (target.readBy === 'duckdb') return sourceLines(place, target)
  const bytes = await place.read(target.path)
  if (bytes === undefined) return undefined
  const whole = bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1)
  const isTorn = whole.length < bytes.length
  if (!isTorn) return sourceLines(place, target)
  const path = `${target.path}.whole`
  await place.write({ [path]: whole })
  const seen = await sourceLines(place, { ...target, path })
  await place.execute(['rm', path])
  return seen
}

export async function jq(place: Workspace, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await place.execute(['jq', ...args])
  if (code !== 0) throw new Error(`jq ${args.join(' ')}: ${stderr || stdout}`)
  return stdout
}

export async function sidecarOf(place: Workspace, path: string): Promise<Sidecar | undefined> {
  const text = await place.read(path)
  if (text === undefined) return undefined
  try {
    return await heldByParts(place, path, JSON.parse(text.toString()) as Sidecar)
  } catch (error) {
    throw new Error(`${path} is not whole: ${text}`, { cause: error })
  }
}

/** The state as the next process will find it. */
export async function stateOf(place: Workspace): Promise<State> {
  const query = `
    SELECT json_object(
      'jobs', (SELECT json_group_array(json_object('id', id, 'status', status)) FROM stream_jobs),
      'checkpoints', (SELECT json_group_array(json(checkpoint)) FROM destination_cursors WHERE checkpoint IS NOT NULL),
      'epoch', (SELECT coalesce(max(epoch), 0) FROM bizon_leases))`
  const said = await sqlite3Says(place, 'state.sqlite3', `${query};\n`)
  // Killed before it, or its tables, were there.
  return said ? (JSON.parse(said) as State) : { jobs: [], checkpoints: [], epoch: 0 }
}

export function differenceOf(found: string | undefined, expected: string): string {
  if (found === undefined) return 'it does not exist'
  const [is, should] = [found.split('\n'), expected.split('\n')]
  const at = should.findIndex((text, i) => text !== is[i])
  if (at < 0) return `${is.length - 1} lines, the last ones too many`
  const show = (text: string | undefined): string => (text === undefined ? 'nothing' : text.slice(0, 60))
  return `line ${at + 1} of ${is.length - 1} is ${show(is[at])}, expected ${show(should[at])} of ${should.length - 1}`
}
