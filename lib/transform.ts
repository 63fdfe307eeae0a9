// A transform sees the records of a page and nothing else: it may change, drop or add records, never positions.

import { BizonError, messageOf } from './errors.ts'
import type { SourceRecord } from './record.ts'
import type { Page } from './source.ts'

/** Called once per page, in order, one call at a time. A throw fails the run. Must not keep or change its input. */
export type Transform = (
  records: readonly SourceRecord[],
  signal: AbortSignal,
) => readonly SourceRecord[] | Promise<readonly SourceRecord[]>

/** The page with its records transformed; all else as it was. */
export async function applyTransform(apply: Transform, page: Page, signal: AbortSignal): Promise<Page> {
  try {
    // The size is another one now, and the transform may have kept a record: the page is not released.
    const { bytes: _bytes, release: _release, ...rest } = page
    return { ...rest, records: await apply(page.records, signal) }
  } catch (cause) {
    if (cause instanceof BizonError) throw cause
    throw new BizonError('transform', `a transform failed: ${messageOf(cause)}`, { cause })
  }
}
