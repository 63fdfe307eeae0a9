// `transforms` of a config: scripts that see every record between source and checkpoint, in list order.

import * as z from 'zod'
import type { Problems } from '../config/problems.ts'
import { validate } from '../config/validate.ts'
import { isMapping } from '../references.ts'

export const SCRIPT_KINDS = ['python', 'javascript', 'module'] as const
export type ScriptKind = (typeof SCRIPT_KINDS)[number]

export interface TransformConfig {
  readonly label: string
  readonly kind: ScriptKind
  /** The script's text; of a module its path. */
  readonly script: string
  readonly onError: 'fail' | 'skip' | 'dead_letter'
  readonly deadLetterPath: string
  readonly timeoutSeconds: number
}

/** One of the list. Exactly one of the three kinds must be given, which `transformsBlock` sees to. */
const transformSchema = z.object({
  label: z.string().min(1).describe('Name of the step, in errors and logs.'),
  python: z
    .string()
    .optional()
    .describe(
      'Python script. It sees `data`, and may change it, set it to None (drop) or to a list (several records).',
    ),
  javascript: z
    .string()
    .optional()
    .describe(
      'JavaScript function body. It sees `data` and `record`; `return null` drops, a list gives several records.',
    ),
  module: z.string().min(1).optional().describe('Path of a file whose default export is a transform.'),
  on_error: z
    .enum(['fail', 'skip', 'dead_letter'])
    .default('fail')
    .describe('A record that the script fails on: ends the run, is left out, or goes to a file. Default fail.'),
  dead_letter_path: z
    .string()
    .min(1)
    .optional()
    .describe('File for on_error: dead_letter. Default `<name of the pipeline>.dead_letter.ndjson`.'),
  timeout: z
    .number()
    .positive()
    .max(2_000_000)
    .default(30)
    .describe('Seconds that the script may take for one record; then the record has failed. Default 30.'),
})

export const transformsSchema = z.array(transformSchema)

/** `transforms`; those that have problems may be left out. Null is an empty list. Unknown keys are the caller's. */
export function transformsBlock(raw: unknown, pipeline: string, problems: Problems): readonly TransformConfig[] {
  if (raw === undefined || raw === null) return []
  const steps = validate(transformsSchema, raw, ['transforms'], problems) ?? []
  if (Array.isArray(raw)) for (const [at, step] of raw.entries()) checkKind(step, at, problems)
  return steps.flatMap((step) => {
    const kind = SCRIPT_KINDS.find((name) => step[name] !== undefined)
    if (kind === undefined) return []
    return {
      label: step.label,
      kind,
      script: step[kind] as string,
      onError: step.on_error,
      deadLetterPath: step.dead_letter_path ?? `${pipeline}.dead_letter.ndjson`,
      timeoutSeconds: step.timeout,
    }
  })
}

function checkKind(step: unknown, at: number, problems: Problems): void {
  if (!isMapping(step)) return
  const given = SCRIPT_KINDS.filter((kind) => step[kind] !== undefined && step[kind] !== null)
  if (given.length === 0) problems.add(['transforms', at], `needs one of ${SCRIPT_KINDS.join(', ')}`)
  for (const kind of given.slice(1)) {
    problems.add(['transforms', at, kind], `there is ${given[0]} already; a step has one script`, { part: 'key' })
  }
}
