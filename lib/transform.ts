// A transform sees the records of a page and nothing else: it may change, drop or add records, never positions.

import type { SourceRecord } from './record.ts'

/** Called once per page, in order, one call at a time. A throw fails the run. Must not keep or change its input. */
export type Transform = (
  records: readonly SourceRecord[],
  signal: AbortSignal,
) => readonly SourceRecord[] | Promise<readonly SourceRecord[]>
