// A checkpoint is a barrier in the flow: everything before me, and this position, become durable together.
// The last one says `end`, and nothing else proves that an extract is complete.

import type { Tally } from './audit/tally.ts'
import type { Json, JsonObject } from './record.ts'
import { sizeOf } from './record.ts'
import type { Page, Position } from './source.ts'
import type { ThroughSteps } from './streamx.ts'

export interface Checkpoint {
  /** The run it belongs to. */
  readonly run: string
  /** Pages of the run so far, resumes included. */
  readonly page: number
  /** Records of the run so far, after transforms. */
  readonly rows: number
  /** Where the source goes on; null once exhausted, or before the first page. */
  readonly position: Position | null
  /** The source said that it is exhausted. */
  readonly end: boolean
  /** The newest `page.watermark`. */
  readonly watermark?: Json
  /** That of the last page: what is not known behind it is not known. */
  readonly reading?: string
  /** Of a run in partitions: what its rows were loaded with, see `configHashOf`. */
  readonly settings?: string
  /** What `bizon verify` compares with; absent: all rows are in the usual target, and there are no digests. */
  readonly tally?: Tally
}

/** What a destination that cannot hold positions itself needs back to recover: a byte offset, a part name, a job id. */
export type Receipt = JsonObject

/** What flows: pages, and barriers between them. */
export type Item = Page | Checkpoint

export function isPage(item: Item): item is Page {
  return 'records' in item
}

/** What a record takes in memory beside its payload: it, its id, its place in the page. */
export const RECORD_BYTES = 200

/** What an item weighs in a buffer: a page its payloads and its records, a checkpoint as good as nothing. */
export function bytesOf(item: Item): number {
  return isPage(item) ? payloadBytesOf(item) + item.records.length * RECORD_BYTES : 1
}

/** The payload bytes of a page, which people are shown and limits are set in. */
export function payloadBytesOf({ bytes, records }: Pick<Page, 'bytes' | 'records'>): number {
  return bytes ?? records.reduce((sum, record) => sum + sizeOf(record.data), 0)
}

/** When to put a checkpoint into the flow: at whichever comes first. One that is left out sets no limit. */
export interface CheckpointOptions {
  readonly everyPages?: number
  /** Payload bytes since the last one. */
  readonly everyBytes?: number
  /** Age of the oldest page that is not yet covered, by a timer: also when the source is silent. */
  readonly everySeconds?: number
}

/**
 * The checkpoint stage: passes pages on and puts barriers between them, and one behind the last.
 * `from` is where the run stands already.
 */
export function checkpoints(
  from: Checkpoint,
  { everyPages = Infinity, everyBytes = Infinity, everySeconds = Infinity }: CheckpointOptions,
): ThroughSteps<Page, Item> {
  let latest = from
  let rows = from.rows
  let pages = 0
  let bytes = 0
  let timer: NodeJS.Timeout | undefined
  /** Records of a page that has not ended are under way: no barrier may follow them. */
  let inside = false
  let overdue = false

  const mark = (push: (item: Item) => void): void => {
    clearTimeout(timer)
    pages = 0
    bytes = 0
    overdue = false
    push(latest)
  }
  const tick = (push: (item: Item) => void): void => {
    if (inside) overdue = true
    else mark(push)
  }

  return {
    each(page, push) {
      rows += page.records.length
      bytes += payloadBytesOf(page)
      inside = page.more ?? false
      if (inside) return push(page)
      const { watermark = latest.watermark, reading } = page
      latest = {
        run: from.run,
        page: latest.page + 1,
        rows,
        position: page.next,
        end: page.next === null,
        ...(watermark !== undefined && { watermark }),
        ...(reading !== undefined && { reading }),
        ...(from.settings !== undefined && { settings: from.settings }),
      }
      pages += 1
      push(page)
      if (latest.end) return // the barrier behind the last page is `end`'s
      if (overdue || pages >= everyPages || bytes >= everyBytes) mark(push)
      else if (pages === 1 && everySeconds < Infinity) timer = setTimeout(tick, everySeconds * 1000, push)
    },
    end(push) {
      if (pages > 0 && !inside) mark(push)
    },
    close() {
      clearTimeout(timer)
    },
  }
}
