// What a run of a config will do, in order, without doing any of it: for `bizon run --explain`. Who parses records is
// declared by each definition, not found out.

import type { CheckpointOptions } from './checkpoint.ts'
import type { PipelineConfig } from './config.ts'
import type { Adds } from './destination.ts'
import { addsOf } from './run.ts'
import type { SyncMode } from './source.ts'
import { checkpointsOf } from './steps.ts'
import type { ScriptKind, TransformConfig } from './transform/config.ts'

export interface PlannedStep {
  readonly kind: 'source' | 'transform' | 'checkpoint' | 'destination'
  readonly does: string
  /** Why the step needs records as objects; absent: it handles their text. */
  readonly parses?: string
}

export type RecordStep = PlannedStep & { readonly kind: 'source' | 'transform' | 'destination' }

/** The steps that every record goes through. */
export function planOf(config: PipelineConfig): readonly PlannedStep[] {
  const steps: readonly PlannedStep[] = stepsOf(config)
  const checkpoint = { kind: 'checkpoint', does: describeCheckpoints(checkpointsOf(config)) } as const
  return [...steps.slice(0, -1), checkpoint, ...steps.slice(-1)]
}

/** Those that may look into it. Without a destination: the steps before a pipe. */
export function stepsOf({
  source,
  destination,
  transforms,
}: Pick<PipelineConfig, 'source' | 'transforms'> &
  Partial<Pick<PipelineConfig, 'destination'>>): readonly RecordStep[] {
  const made = source.definition.parses?.(source.options, source.stream)
  const looksInto = destination?.definition.parses?.(destination.options)
  return [
    {
      kind: 'source',
      does: `${source.name}, stream ${source.stream}, ${source.mode}`,
      ...(made !== undefined && { parses: made }),
    },
    ...transforms.map((step) => ({ kind: 'transform' as const, does: describe(step), parses: SEES[step.kind] })),
    ...(destination
      ? [
          {
            kind: 'destination' as const,
            does: `${destination.name}, ${publishes(source.mode, addsOf({ destination }), showsBatches(destination))}`,
            ...(looksInto !== undefined && { parses: looksInto }),
          },
        ]
      : []),
  ]
}

const SEES: Record<ScriptKind, string> = {
  python: 'the script sees each record as a dict',
  javascript: 'the script sees each record as an object',
  module: 'the module may look into each record',
}

const showsBatches = ({ definition, options }: PipelineConfig['destination']): boolean =>
  definition.shows?.(options) === 'batch'

function publishes(mode: SyncMode, adds: ReturnType<typeof addsOf>, inBatches: boolean): string {
  if (adds === 'once_more') return 'adds to what is there, each batch at once'
  if (mode === 'full_refresh') return 'replaces what was published, once all is there'
  if (mode === 'incremental')
    return `${ADDS[adds ?? 'append']}, ${inBatches ? 'each batch at once' : 'once all is there'}; the first run and a reset replace it`
  return adds === 'merge' ? 'is merged by key, each batch at once' : 'is written directly'
}

const ADDS: Record<Adds | 'append', string> = {
  append: 'adds to what was published',
  merge: 'merges into what was published, by key',
  replace_scope: 'takes the place of what was published in the same scopes',
}

const FAILURES: Record<TransformConfig['onError'], (step: TransformConfig) => string> = {
  fail: () => 'ends the run',
  skip: () => 'is skipped',
  dead_letter: ({ deadLetterPath }) => `goes to ${deadLetterPath}`,
}

function describe(step: TransformConfig): string {
  const what = step.kind === 'module' ? `module ${step.script}` : step.kind
  return `${step.label}, ${what}; a record it fails on ${FAILURES[step.onError](step)}`
}

function describeCheckpoints({ everyPages, everyBytes, everySeconds }: CheckpointOptions): string {
  const limits = [
    ...(everyPages === undefined ? [] : [everyPages === 1 ? 'every page' : `${everyPages} pages`]),
    ...(everyBytes === undefined || everyPages === 1
      ? []
      : [everyBytes === 0 ? 'every page' : `${everyBytes / 1024 ** 2} MiB`]),
    ...(everySeconds === undefined || everyPages === 1 || everyBytes === 0 ? [] : [`${everySeconds} s`]),
  ]
  const [last = 'every page'] = limits.slice(-1)
  if (limits.includes('every page')) return 'after every page'
  return `after ${limits.length > 1 ? `${limits.slice(0, -1).join(', ')} or ${last}, whichever comes first` : last}`
}

/** One sentence on what becomes of the records' text. */
export function textsWay(plan: readonly PlannedStep[]): string {
  const first = plan.findIndex(({ parses }) => parses !== undefined)
  if (first < 0) return 'Records stay JSON text from end to end: no step looks into them, and every byte is kept.'
  if (first === 0) return 'Records are objects from the start; step 1 makes them.'
  const steps = plan.flatMap(({ parses }, at) => (parses === undefined ? [] : [at + 1]))
  const [last] = steps.slice(-1)
  const names = steps.length === 1 ? `step ${last}` : `steps ${steps.slice(0, -1).join(', ')} and ${last}`
  return `Records are JSON text, which is parsed for ${names} alone.`
}
