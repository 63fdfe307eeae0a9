// A transform sees the records of a page and nothing else: it may change, drop or add records, never positions.

import { payloadBytesOf } from './checkpoint.ts'
import { BizonError, messageOf } from './errors.ts'
import { RawJson, type SourceRecord } from './record.ts'
import type { Page } from './source.ts'
import { orAborted } from './wait.ts'

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
    // A transform that minds no signal is left to itself.
    const records = await orAborted(Promise.resolve(apply(page.records, signal)), signal)
    signal.throwIfAborted()
    if (!Array.isArray(records))
      throw new TypeError(`it returned ${typeof records} where a list of records was expected`)
    return { ...rest, records: detached(records, page) }
  } catch (cause) {
    if (signal.aborted || cause instanceof BizonError) throw cause
    throw new BizonError('transform', `a transform failed: ${messageOf(cause)}`, { cause })
  }
}

/**
 * Payloads refer to what was read at once. A few that are left of it would hold all of it, though they weigh little where
 * what waits is weighed: they are copied out.
 */
function detached(records: readonly SourceRecord[], given: Page): readonly SourceRecord[] {
  if (records === given.records || payloadBytesOf({ records }) * 2 > payloadBytesOf(given)) return records
  return records.map((record) => {
    const { data } = record
    return data instanceof RawJson ? { ...record, data: new RawJson(Buffer.from(data.bytes())) } : record
  })
}
