// What must be published, by the checkpoints that the state store keeps: the runs since everything was last replaced, and
// of each its rows, range by range.

import { BizonError } from '../errors.ts'
import { wholeRun } from '../partition.ts'
import { idPrefixOf } from '../row-id.ts'
import type { Identity, Job, LoggedCheckpoint, StateStore } from '../state.ts'
import { type Digest, digestFrom } from './digest.ts'
import type { Keeps, Reader } from './reader.ts'
import type { Tally } from './tally.ts'

/** Rows of a run that are in one target: of those with the numbers `[from, to)` so many. */
export interface Part {
  readonly run: ExpectedRun
  readonly from: number
  readonly to: number
  readonly rows: number
  /** Absent: only the count is known. */
  readonly digest?: Digest
  /** Each digest times the number of its row. */
  readonly weighted?: Digest
}

export interface ExpectedRun {
  readonly id: string
  /** Of the ids of its rows. */
  readonly prefix: string
  readonly rows: number
  /** A stream that goes on: rows behind its last checkpoint do not count yet. */
  readonly open: boolean
  /** By destination id, in the order of the rows. */
  readonly parts: ReadonlyMap<string, readonly Part[]>
}

export interface Expected {
  /** Oldest first. */
  readonly runs: readonly ExpectedRun[]
  /** Why values cannot be compared, only counts. */
  readonly countsOnly?: string
  /** A later run that has not ended, and of which nothing can be visible. */
  readonly unfinished?: string
}

/**
 * Throws when nothing can be said of what is published. `identities`: of a stream in partitions those of all of them. `usual`: the
 * target of rows that name none.
 */
export async function expectedOf(
  store: StateStore,
  identities: readonly Identity[],
  { keeps }: Pick<Reader, 'keeps'>,
  usual: string,
): Promise<Expected> {
  if (keeps.merges) throw cannot(`${keeps.why}`, 'A query of your own can look for what must be there.')
  const found: Expected[] = []
  const every: (readonly Job[])[] = []
  for (const identity of identities) every.push(await store.jobs(identity))
  const isEmpty = (run: string): Promise<boolean> => isEmptyRun(store, run, every)
  for (const [at, identity] of identities.entries()) {
    const all = every[at] ?? []
    if (all.some(({ status }) => status !== 'cancelled'))
      found.push(await expectedIn(store, identity, { keeps, usual, all, isEmpty }))
  }
  if (found.length === 0) throw cannot('no run of this pipeline is in the state store', 'Run it first.')
  const countsOnly = found.find((one) => one.countsOnly !== undefined)?.countsOnly
  const unfinished = found.find((one) => one.unfinished !== undefined)?.unfinished
  return {
    runs: found.flatMap(({ runs }) => runs),
    ...(countsOnly !== undefined && { countsOnly }),
    ...(unfinished !== undefined && { unfinished }),
  }
}

interface Around {
  readonly keeps: Keeps
  readonly usual: string
  readonly all: readonly Job[]
  /** Of a run of which this partition has no rows: whether no other has any. */
  readonly isEmpty: (run: string) => Promise<boolean>
}

async function isEmptyRun(store: StateStore, run: string, every: readonly (readonly Job[])[]): Promise<boolean> {
  for (const jobs of every) {
    const part = jobs.find(({ id }) => wholeRun(id) === wholeRun(run))
    if (part && ((await store.lastCheckpoint(part))?.rows ?? 0) > 0) return false
  }
  return true
}

async function expectedIn(
  store: StateStore,
  identity: Identity,
  { keeps, usual, all, isEmpty }: Around,
): Promise<Expected> {
  const jobs = keeps.onlyAdds ? all : all.filter(({ status }) => status !== 'cancelled')
  const newest = jobs.find(({ status }) => status !== 'cancelled')
  const isUnfinished = newest !== undefined && newest.status !== 'succeeded' && newest.mode !== 'stream'
  if (isUnfinished) await requireHidden(store, newest, { keeps, all })
  const runs: ExpectedRun[] = []
  let countsOnly = keeps.of === 'counts' ? keeps.why : undefined
  for (const job of jobs) {
    const isGivenUp = job.status === 'cancelled'
    if (!isDone(job) && !isGivenUp && (isUnfinished || job !== newest)) continue
    if (!job.ours)
      throw cannot(`run ${job.id} was loaded by another program`, 'Verify after a reset, or a full refresh.')
    if (isGivenUp && !keeps.ids)
      throw cannot(
        `nothing tells what run ${job.id} has left, which was given up`,
        'Load everything into another target.',
      )
    const checkpoints = await store.checkpoints(job)
    const last = checkpoints.at(-1)
    const digests = keeps.of !== 'counts' && last?.tally?.of === keeps.of
    if (!digests && (last?.rows ?? 0) > 0) countsOnly ??= whyNone(job, last?.tally)
    const run = runOf(job, identity, checkpoints, digests, usual)
    const isAll = !keeps.onlyAdds && replacesAll(job)
    if (isAll && run.rows === 0 && keeps.onEmpty === 'keep' && (await isEmpty(job.id))) continue
    runs.unshift(run)
    if (isAll) break
  }
  return { runs, ...(countsOnly !== undefined && { countsOnly }), ...(isUnfinished && { unfinished: newest.id }) }
}

const isDone = ({ status }: Job): boolean => status === 'succeeded'

/**
 * Throws when something of the newest run, or of those that were given up since one was published, may be visible, or
 * nothing else is: the end of a run is known before it is published.
 */
async function requireHidden(
  store: StateStore,
  newest: Job,
  { keeps, all }: { readonly keeps: Keeps; readonly all: readonly Job[] },
): Promise<void> {
  const refuse = (why: string): never => {
    throw cannot(`run ${newest.id} has not ended, and ${why}`, 'Run the pipeline once more; then verify.')
  }
  for (const job of all) {
    if (isDone(job)) return
    const isDirect = job.mode === 'stream' || (keeps.addsInView === 'batch' && (keeps.onlyAdds || !replacesAll(job)))
    if (isDirect || !job.ours || (await store.lastCheckpoint(job))?.end)
      refuse(`part of ${job === newest ? 'it' : `run ${job.id}`} may be visible`)
  }
  refuse('none before it is published')
}

const replacesAll = ({ mode, complete }: Job): boolean =>
  mode === 'full_refresh' || (mode === 'incremental' && complete)

function cannot(why: string, hint: string): BizonError {
  return new BizonError('usage', `cannot verify: ${why}`, { hint })
}

function whyNone({ id }: Job, tally: Tally | undefined): string {
  return tally?.of === undefined
    ? `run ${id} kept no digests (verify: true in the pipeline file keeps them from the next run on)`
    : `run ${id} was loaded with other settings of metadata`
}

function runOf(
  job: Job,
  identity: Identity,
  checkpoints: readonly LoggedCheckpoint[],
  digests: boolean,
  usual: string,
): ExpectedRun {
  const parts = new Map<string, Part[]>()
  const last = checkpoints.at(-1)
  const run = {
    id: job.id,
    prefix: idPrefixOf(job.id, { pipeline: identity.name, source: identity.source, stream: identity.stream }),
    rows: last?.rows ?? 0,
    open: job.status !== 'succeeded',
    parts,
  }
  const add = (id: string, part: Omit<Part, 'run'>): void => {
    const known = parts.get(id)
    if (known) known.push({ run, ...part })
    else parts.set(id, [{ run, ...part }])
  }
  if (!digests) {
    const tables = last?.tally?.tables ?? { [usual]: [run.rows] as const }
    for (const [id, [rows]] of Object.entries(tables)) add(id, { from: 0, to: run.rows, rows })
    return run
  }
  let reached = 0
  let tables: Tally['tables'] = {}
  for (const { rows, tally } of checkpoints) {
    if (!tally?.blocks) continue
    const inBlocks = tally.blocks.reduce((sum, block) => sum + block.rows, 0)
    const from = rows - inBlocks
    // Checkpoints between that are not kept any more: what they covered is the rest.
    if (from > reached) for (const part of between(tables, tally, reached, from)) add(part.id, part)
    let at = from
    for (const block of tally.blocks) {
      for (const [id, [count, digest, weighted]] of Object.entries(block.tables)) {
        const sums = { digest: digestFrom(digest), weighted: digestFrom(weighted) }
        add(id, {
          from: at,
          to: at + block.rows,
          rows: count,
          ...(sums.digest && { digest: sums.digest }),
          ...(sums.weighted && { weighted: sums.weighted }),
        })
      }
      at += block.rows
    }
    reached = rows
    tables = tally.tables
  }
  // Of nothing, nothing more may be there.
  if (parts.size === 0) add(usual, { from: 0, to: 0, rows: 0 })
  return run
}

/** What is left of the sums of a checkpoint without its own blocks and without what was there before. */
function between(
  before: Tally['tables'],
  { tables, blocks = [] }: Tally,
  from: number,
  to: number,
): (Omit<Part, 'run'> & { readonly id: string })[] {
  return Object.entries(tables).flatMap(([id, [count, text]]) => {
    let rows = count - (before[id]?.[0] ?? 0)
    let { a, b } = digestFrom(text) ?? ZERO
    const less = (digest: Digest = ZERO): void => {
      a = (a - digest.a) | 0
      b = (b - digest.b) | 0
    }
    less(digestFrom(before[id]?.[1]))
    for (const block of blocks) {
      const own = block.tables[id]
      if (!own) continue
      rows -= own[0]
      less(digestFrom(own[1]))
    }
    return rows > 0 ? [{ id, from, to, rows, digest: { a, b } }] : []
  })
}

const ZERO: Digest = { a: 0, b: 0 }
