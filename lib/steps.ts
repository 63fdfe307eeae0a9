// The stages that a script hands to `pipeline`, put in order.

import type { CheckpointOptions } from './checkpoint.ts'
import type { PipelineConfig } from './config.ts'
import { BizonError } from './errors.ts'
import type { Observer } from './events.ts'
import { SourceEnd } from './extract.ts'
import { Load } from './load.ts'
import type { Log } from './log.ts'
import type { Meter } from './meter.ts'
import type { Transform } from './transform.ts'

export type Step = { readonly transform: Transform } | { readonly checkpoint: CheckpointOptions }

export interface PipelineOptions {
  /** Default: silence. */
  readonly log?: Log
  /** Ends the run at once: it rejects with the signal's reason, and the next run resumes. */
  readonly signal?: AbortSignal
  /** Ends the run at the next checkpoint: it resolves as `stopped`. Before the first page it rejects, as by `signal`. */
  readonly stop?: AbortSignal
  /** Told of every page, checkpoint and publish. */
  readonly observe?: Observer
  /** Counts what a report tells beside that; see lib/report.ts. */
  readonly meter?: Meter | undefined
}

/** An extract, any steps, a load; then options, if any. */
export type Stages =
  | readonly [SourceEnd, ...(readonly Step[]), Load]
  | readonly [SourceEnd, ...(readonly Step[]), Load, PipelineOptions]

/** A step that changes records. */
export function transform(apply: Transform): Step {
  return { transform: apply }
}

/** Says when to make durable what was read; without it the config's own settings hold. */
export function checkpoint(options: CheckpointOptions): Step {
  return { checkpoint: options }
}

export interface Arrangement {
  readonly from: SourceEnd
  readonly transforms: readonly Transform[]
  readonly checkpointing: CheckpointOptions | undefined
  readonly to: Load
  readonly options: PipelineOptions
}

export function arrange(stages: Stages): Arrangement {
  const all: readonly unknown[] = stages
  const end = all.findIndex((stage) => stage instanceof Load)
  const [from, to, options = {}] = [all[0], all[end], all[end + 1]]
  const steps = all.slice(1, end) as readonly Step[]
  const ordered = from instanceof SourceEnd && to instanceof Load && all.length <= end + 2
  if (
    !ordered ||
    !steps.every((step) => step !== null && typeof step === 'object' && ('transform' in step || 'checkpoint' in step))
  ) {
    throw new BizonError(
      'usage',
      'pipeline: expected extract(…), then any transform(…) and checkpoint(…), then load(…)',
    )
  }
  return {
    from,
    transforms: steps.flatMap((step) => ('transform' in step ? [step.transform] : [])),
    checkpointing: steps.flatMap((step) => ('checkpoint' in step ? [step.checkpoint] : [])).at(-1),
    to,
    options: options as PipelineOptions,
  }
}

/** The config's checkpoint settings. One page at a time also means: durable one page at a time. */
export function checkpointsOf({ source, destination, engine }: PipelineConfig): CheckpointOptions {
  if (source.mode === 'stream' || engine.runner.type === 'stream') return { everyPages: 1 }
  const { bufferBytes, flushTimeoutSeconds } = destination
  return {
    everyPages: engine.checkpointPages,
    everyBytes: bufferBytes,
    ...(flushTimeoutSeconds > 0 && { everySeconds: flushTimeoutSeconds }),
  }
}
