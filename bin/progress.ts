// What a run shows of itself while it works: one live line on a terminal, else a log line every ten seconds;
// and the summary at its end.

import type { Outcome, PipelineEvent } from '../lib/events.ts'
import type { Log } from '../lib/log.ts'
import type { Terminal } from './terminal.ts'

const REDRAW_MS = 200
const LOG_MS = 10_000

export interface Progress {
  observe(event: PipelineEvent): void
  /** Takes the live line away. Safe twice. */
  close(): void
}

export interface ProgressOptions {
  readonly terminal: Pick<Terminal, 'live' | 'redraw'>
  readonly log: Log
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number
}

export function createProgress({ terminal, log, now = () => performance.now() }: ProgressOptions): Progress {
  const seen = new Tally(now())
  const timer = terminal.live
    ? setInterval(() => terminal.redraw(seen.line(now())), REDRAW_MS)
    : setInterval(() => log.info(seen.line(now())), LOG_MS)
  timer.unref()
  return {
    observe: (event) => seen.add(event, now()),
    close() {
      clearInterval(timer)
      terminal.redraw(undefined)
    },
  }
}

/** Rows and bytes so far, and when the last checkpoint was. Times are milliseconds of one clock. */
export class Tally {
  private rows = 0
  private bytes = 0
  /** Of each run, or partition of one, what others had loaded when this process began with it. */
  private readonly before = new Map<string, number>()
  private total: number | undefined
  private startedAt: number
  private checkpointAt: number | undefined

  constructor(startedAt: number) {
    this.startedAt = startedAt
  }

  add(event: PipelineEvent, now: number): void {
    if (event.type === 'start') {
      // A partition that comes back, or a pipe that begins anew, has rows of this process before it.
      if (this.before.size === 0) this.startedAt = now
      if (!this.before.has(event.job)) this.before.set(event.job, event.from?.rows ?? 0)
      this.total = event.total
    } else if (event.type === 'page') {
      this.rows += event.rows
      this.bytes += event.bytes
    } else if (event.type === 'checkpoint') {
      this.checkpointAt = now
    }
  }

  line(now: number): string {
    const seconds = (now - this.startedAt) / 1000
    const rate = seconds > 0 ? this.rows / seconds : 0
    const done = [...this.before.values()].reduce((sum, rows) => sum + rows, this.rows)
    const parts = [
      this.total === undefined ? records(done) : `${count(done)} of ${records(this.total)}`,
      `${count(Math.round(rate))}/s`,
      size(this.bytes),
      this.checkpointAt === undefined
        ? 'no checkpoint yet'
        : `last checkpoint ${duration((now - this.checkpointAt) / 1000)} ago`,
    ]
    if (this.total !== undefined && rate > 0 && this.total > done)
      parts.push(`about ${duration((this.total - done) / rate)} left`)
    return parts.join(', ')
  }
}

/** What a run did, for the person who started it: one sentence a line. */
export function summary(outcome: Outcome): readonly string[] {
  const { rows, bytes, seconds, checkpoints, resumedFrom, totalRows, outputs } = outcome
  const rate = seconds > 0 ? `, ${records(Math.round(rows / seconds))}/s` : ''
  const barriers = `${count(checkpoints)} checkpoint${checkpoints === 1 ? '' : 's'}`
  const lines = [`Loaded ${records(rows)} (${size(bytes)}) in ${duration(seconds)}${rate}, ${barriers}.`]
  if (resumedFrom)
    lines.push(
      `Went on after record ${count(resumedFrom.rows)}, where an earlier run stopped: ${records(totalRows)} in all.`,
    )
  if (outputs.length > 0) lines.push(`Output: ${outputs.join(', ')}`)
  return lines
}

export function count(value: number): string {
  // By hand: a number format of the system's takes 10 ms to load, a tenth of a small run.
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',')
}

export function records(value: number): string {
  return `${count(value)} record${value === 1 ? '' : 's'}`
}

const UNITS = ['kB', 'MB', 'GB', 'TB', 'PB']

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  let value = bytes / 1000
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`
}

export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}
