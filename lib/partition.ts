// A stream whose records are told apart by key, so that several loaders work on it at once. Each partition is a pipeline of its own
// in all that is kept of it: its lock, its runs, its place in the destination. The run that they are parts of has the id of theirs
// but for the last four digits.
//
//   run 4e3b…0000  =  4e3b…0001 of orders#0  +  4e3b…0002 of orders#1  + …

import type { Checkpoint } from './checkpoint.ts'
import { inQueue } from './config/invalid-key.ts'
import type { Invalid } from './config/located.ts'
import type { PipelineConfig } from './config.ts'
import { stringifyJson } from './json.ts'
import type { SyncMode } from './source.ts'
import type { Identity, StateStore } from './state.ts'

export interface Partition {
  /** From 0. */
  readonly index: number
  /** How many there are. */
  readonly of: number
}

/** For people. */
export const partitionName = ({ index, of }: Partition): string => `partition ${index + 1} of ${of}`

export const MOST_PARTITIONS = 256

/** Among so many of a partition, newest first, the run that the loaders are at is looked for. */
export const RECENT_JOBS = 20

const DIGITS = 4

/** The whole run, of which this is the run of a partition; a whole one stays as it is. */
export const wholeRun = (run: string): string => run.slice(0, -DIGITS).padEnd(run.length, '0')

/** The run of a partition. */
export function partRun(run: string, index: number): string {
  return run.slice(0, -DIGITS) + (index + 1).toString(16).padStart(DIGITS, '0')
}

/** What the state of a partition is filed under, instead of the stream. */
export const partStream = (stream: string, partition: Partition | undefined): string =>
  partition ? `${stream}#${partition.index}` : stream

/** What the state of each partition is filed under, in order. */
export const partIdentities = (stream: Identity, of: number): Identity[] =>
  allPartitions(of).map((one) => ({ ...stream, stream: partStream(stream.stream, one) }))

/** The newest jobs of each partition, in order. */
export function recentJobs(
  store: Pick<StateStore, 'jobs'>,
  { name, source }: Pick<PipelineConfig, 'name' | 'source'>,
): Promise<Awaited<ReturnType<StateStore['jobs']>>[]> {
  const identities = partIdentities({ name, source: source.name, stream: source.stream }, source.partition?.of ?? 1)
  return Promise.all(identities.map((one) => store.jobs(one, RECENT_JOBS)))
}

export const allPartitions = (of: number): Partition[] => Array.from({ length: of }, (_, index) => ({ index, of }))

/**
 * What a destination compares before it publishes partitions together. The same only where they were filled by readings of the source
 * that gave the same keys in the same order, in as many pages, and begin the next run at the same place. A record is then in one
 * partition, whichever of the readings that had it from.
 */
export function readingOf(end: Checkpoint | null | undefined): string {
  const { page, reading, watermark } = end ?? {}
  return stringifyJson([page ?? 0, reading ?? null, watermark ?? null])
}

/** What a destination says of partitions, see `DestinationDefinition`. */
interface Taker {
  readonly name: string
  readonly options: unknown
  readonly definition: { refusesPartitions?(options: never, mode: SyncMode): string | undefined }
}

const MODES: readonly SyncMode[] = ['full_refresh', 'incremental', 'stream']

/** Where the config says how many partitions there are. */
export const PARTITIONS_KEY = inQueue('partitions')

/** Rejects where the destination cannot be written to by several loaders at once. `mode`: undefined, where only the messages will say. */
export function checkPartitions(
  { destination, invalid }: { readonly destination: Taker; readonly invalid: Invalid },
  mode: SyncMode | undefined,
): void {
  const { name, definition, options } = destination
  const whys = (mode === undefined ? MODES : [mode]).map((one) =>
    definition.refusesPartitions
      ? definition.refusesPartitions(options as never, one)
      : `destination ${name} is written to by one loader at a time`,
  )
  const [why] = whys
  if (why === undefined || whys.includes(undefined)) return
  throw invalid(PARTITIONS_KEY, `is above 1, and ${why}`, {
    hint: 'Set partitions to 1, with a topic of its own. See docs/scaling.md.',
  })
}
