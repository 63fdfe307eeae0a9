// How much memory the process may take: `--max-memory`. Without a limit it is bounded by the sizes below all the same.
// With one they are smaller where that is needed, a record that there is no room for is an error before it is held as a
// whole, and what nobody needs any more is collected sooner than V8 would.

import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { BizonError } from './errors.ts'

const MIB = 1 << 20
/** Node, our modules, a thread for a database, and a pipeline of small records. */
const BASE_BYTES = 100 * MIB
/** Less would be no room for records. */
export const LEAST_MEMORY_BYTES = 128 * MIB
/** How often a record may be in memory at once: as it was read, as it is written, and as garbage of both. */
const COPIES = 32

/** Of what one of several reads ahead, or gathers. */
const LEAST_SHARE_BYTES = MIB

/** Bytes. */
export interface Sizes {
  /** Of what was read and is not written yet. */
  readonly readAhead: number
  /** Of what a destination gathers before it writes that. */
  readonly gathered: number
  /** Of a record. */
  readonly record: number
  /** Of an answer over HTTP, which is records. */
  readonly answer: number
}

let sharers = 0
let sizes: Sizes = { readAhead: 4 * MIB, gathered: 8 * MIB, record: Infinity, answer: Infinity }
let limit: Limit | undefined

interface Limit {
  readonly bytes: number
  /** When to collect. */
  readonly high: number
  /** By how much what is in use must have grown since the last time. */
  readonly step: number
  readonly collect: () => void
}
/** In use after the last collection. */
let kept = 0

/** Sets the limit of this process, before anything is opened. */
export function limitMemory(bytes: number): void {
  const room = Math.max(bytes, LEAST_MEMORY_BYTES) - BASE_BYTES
  const share = Math.floor(room / COPIES)
  sizes = {
    readAhead: Math.min(sizes.readAhead, share),
    gathered: Math.min(sizes.gathered, share),
    record: share,
    answer: 8 * share,
  }
  setFlagsFromString('--expose-gc')
  limit = { bytes, high: BASE_BYTES + room / 8, step: room / 16, collect: runInNewContext('gc') as () => void }
}

/** Of one of those who share it, as many as there are now. */
export function memorySizes(): Sizes {
  return sharers > 1 ? { ...sizes, readAhead: shareOf(sizes.readAhead), gathered: shareOf(sizes.gathered) } : sizes
}

/** One more reads and gathers in this process, as with the partitions of a stream. Returns what ends that. */
export function shareMemory(): () => void {
  sharers += 1
  let isOver = false
  return () => {
    if (!isOver) sharers -= 1
    isOver = true
  }
}

/** Less than the least would be many small answers and statements. */
const shareOf = (bytes: number): number => Math.max(Math.min(bytes, LEAST_SHARE_BYTES), Math.floor(bytes / sharers))

/** Collects if much is in use. Called where little is held: before the source is asked for more. */
export function relieveMemory(): void {
  if (!limit) return
  const { bytes, high, step, collect } = limit
  const used = process.memoryUsage.rss()
  if (used < high || used < kept + step) return
  collect()
  kept = process.memoryUsage.rss()
  if (kept <= bytes) return
  throw new BizonError('source', `${mebibytes(kept)} are in use, more than --max-memory ${mebibytes(bytes)}`, {
    hint: `Give it more, such as --max-memory ${mebibytes(2 * bytes)}; the next run goes on from the last checkpoint.`,
  })
}

/** Throws if there is no room for a record. `name` is what the user knows it by; it has so many bytes at least, `upTo` at most. */
export function checkRecordSize(bytes: number, name: string, { upTo = bytes }: { readonly upTo?: number } = {}): void {
  if (bytes <= sizes.record || !limit) return
  const needed = mebibytes(Math.ceil((BASE_BYTES + upTo * COPIES) / (10 * MIB)) * 10 * MIB)
  const most = mebibytes(sizes.record)
  throw new BizonError(
    'source',
    `${name} is larger than ${most}, the most that --max-memory ${mebibytes(limit.bytes)} has room for`,
    {
      hint: `Give it ${needed}, or leave it out; the next run goes on from the last checkpoint.`,
    },
  )
}

/**
 * The most that this process has held, in bytes. What `getrusage` says may be of the program that started it: on Linux
 * its peak is counted, too.
 */
export function peakMemory(): number {
  const used = process.resourceUsage().maxRSS * 1024
  try {
    const own = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    return own === undefined ? used : Number(own) * 1024
  } catch {
    return used
  }
}

/** As `--max-memory` takes it. */
function mebibytes(bytes: number): string {
  return `${Math.floor((bytes / MIB) * 10) / 10}M`
}
