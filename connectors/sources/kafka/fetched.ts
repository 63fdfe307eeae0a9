// What a reader gives next, also where messages are gone: then the config says whether and where to go on.

import { OffsetsGone } from '../../kafka/errors.ts'
import { Messages } from '../../kafka/messages.ts'
import type { Batch } from '../../kafka/reader.ts'
import { type BoundsOptions, there } from './bounds.ts'
import type { Reader } from './broker.ts'

export async function fetched(reader: Reader, bounds: BoundsOptions, signal: AbortSignal): Promise<readonly Batch[]> {
  try {
    return await reader.fetch(signal)
  } catch (error) {
    if (!(error instanceof OffsetsGone)) throw error
    const { topic, partition, offset, high } = error
    const next = there(offset, error, bounds)
    reader.assign(topic, partition, next)
    return [{ topic, partition, messages: new Messages(Buffer.alloc(0)), next, end: high }]
  }
}
