// What a pipeline tells an observer while it works. Nothing is computed for it when nobody observes.

import type { Checkpoint } from './checkpoint.ts'

export type PipelineEvent =
  /** The job was chosen and the flow starts; `total` is the source's count, for progress only. */
  | {
      readonly type: 'start'
      readonly job: string
      readonly from?: Checkpoint
      readonly reasons: readonly string[]
      readonly total?: number
    }
  /** A page was handed to the destination. */
  | { readonly type: 'page'; readonly rows: number; readonly bytes: number }
  /** Rows up to here are durable in the destination. */
  | { readonly type: 'checkpoint'; readonly checkpoint: Checkpoint }
  | { readonly type: 'published' }

export type Observer = (event: PipelineEvent) => void

/** Of a process that has loaded nothing. */
export const NOTHING_LOADED = {
  rows: 0,
  bytes: 0,
  pages: 0,
  checkpoints: 0,
  totalRows: 0,
  seconds: 0,
  outputs: [],
} as const satisfies Partial<Outcome>

/** How a run that did not fail ended. */
export interface Outcome {
  /** `complete`: published, job succeeded. `stopped`: by a signal, `max_iterations`, or a stream that paused; the next run goes on. */
  readonly status: 'complete' | 'stopped'
  readonly job: string
  /** Records and payload bytes of this process, and of the whole run with its resumes. */
  readonly rows: number
  readonly bytes: number
  readonly totalRows: number
  readonly pages: number
  readonly checkpoints: number
  readonly seconds: number
  /** Where this process went on, if it resumed. */
  readonly resumedFrom?: Checkpoint
  /** Paths or tables where the result is. Empty unless published or written directly. */
  readonly outputs: readonly string[]
}

/** Of a run that was loaded in several goes: what was loaded before, and since. */
export function together(before: Outcome | undefined, since: Outcome): Outcome {
  if (!before) return since
  const { resumedFrom: _, ...latest } = since
  const sum = (of: 'rows' | 'bytes' | 'pages' | 'checkpoints' | 'seconds'): number => before[of] + since[of]
  return {
    ...latest,
    rows: sum('rows'),
    bytes: sum('bytes'),
    pages: sum('pages'),
    checkpoints: sum('checkpoints'),
    seconds: sum('seconds'),
    ...(before.resumedFrom && { resumedFrom: before.resumedFrom }),
    outputs: [...new Set([...before.outputs, ...since.outputs])],
  }
}
