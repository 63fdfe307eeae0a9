// Applies transforms to records as a run does, and gives back what came out.

import type { Log } from '../../lib/log.ts'
import { silentLog } from '../../lib/log.ts'
import { RawJson, type SourceRecord, textOf } from '../../lib/record.ts'
import type { ScriptKind, TransformConfig } from '../../lib/transform/config.ts'
import { openTransforms } from '../../lib/transforms.ts'
import { never } from './load.ts'

export function step(kind: ScriptKind, script: string, given: Partial<TransformConfig> = {}): TransformConfig {
  return { label: 'tidy', kind, script, onError: 'fail', deadLetterPath: 'none', timeoutSeconds: 30, ...given }
}

export const python = (script: string, given?: Partial<TransformConfig>) => step('python', script, given)
export const javascript = (script: string, given?: Partial<TransformConfig>) => step('javascript', script, given)

export interface Applying {
  readonly log?: Log
  readonly signal?: AbortSignal
  readonly secrets?: readonly string[]
}

/** Records `1`, `2`, … with these payloads, or whole records. */
export function recordsOf(payloads: readonly (string | SourceRecord)[]): SourceRecord[] {
  return payloads.map((data, at) =>
    typeof data === 'string' ? { id: String(at + 1), data: RawJson.from(data) } : data,
  )
}

export async function applyAll(
  configs: readonly TransformConfig[],
  payloads: readonly (string | SourceRecord)[],
  { log = silentLog, signal = never, secrets = [] }: Applying = {},
): Promise<SourceRecord[]> {
  const opened = await openTransforms(configs, { log, signal, secrets })
  try {
    let records: readonly SourceRecord[] = recordsOf(payloads)
    for (const apply of opened.steps) records = await apply(records, signal)
    return [...records]
  } finally {
    await opened.close()
  }
}

/** The payloads' text that came out. */
export async function textsAfter(
  config: TransformConfig | readonly TransformConfig[],
  payloads: readonly string[],
  options?: Applying,
): Promise<string[]> {
  const records = await applyAll('kind' in config ? [config] : config, payloads, options)
  return records.map(({ data }) => textOf(data))
}

/** A log that keeps its lines. */
export function keptLog(): Log & { readonly lines: string[] } {
  const lines: string[] = []
  const keep =
    (level: string) =>
    (message: string): void =>
      void lines.push(`${level} ${message}`)
  return {
    lines,
    trace: keep('trace'),
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
  }
}
