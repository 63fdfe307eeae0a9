// A checkpoint is a barrier in the flow: everything before me, and this position, become durable together.
// The last one says `end`, and nothing else proves that an extract is complete.

import type { Json, JsonObject } from './record.ts'
import type { Page, Position } from './source.ts'

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
}

/** What a destination that cannot hold positions itself needs back to recover: a byte offset, a part name, a job id. */
export type Receipt = JsonObject

/** What flows: pages, and barriers between them. */
export type Item = Page | Checkpoint

export function isPage(item: Item): item is Page {
  return 'records' in item
}
