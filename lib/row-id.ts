// `bizon_id`: which run a row is of, and its number there.

import { createHash } from 'node:crypto'
import type { Run } from './destination.ts'

/**
 * The first half of each `bizon_id` of a run, the second being the row's number: the same row of the same run has the
 * same id whenever it is written, so that a replay can be recognised.
 */
export function idPrefixOf(
  run: string,
  { pipeline, source, stream }: Pick<Run, 'pipeline' | 'source' | 'stream'>,
): string {
  const identity = JSON.stringify([pipeline, source, stream, run])
  return createHash('sha256').update(identity).digest('hex').slice(0, 16)
}

/** The second half: the row's number in the run, from 0. */
export function idSuffixOf(row: number): string {
  return row.toString(16).padStart(16, '0')
}

/** Undefined when it is no `bizon_id`. */
export function readRowId(text: string): { readonly prefix: string; readonly row: number } | undefined {
  if (!/^[0-9a-f]{32}$/.test(text)) return undefined
  return { prefix: text.slice(0, 16), row: Number.parseInt(text.slice(16), 16) }
}
