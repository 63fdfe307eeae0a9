// What a read would read, found out the way that the read does, with the offsets as they are now. Nobody's group is joined.

import type { PlannedRead, Start } from '../../../lib/source.ts'
import { type BoundsOptions, beginnings, type First, spans } from './bounds.ts'
import type { Broker } from './broker.ts'

export interface PlanParts {
  readonly broker: Broker
  readonly bounds: BoundsOptions
  readonly group: string
  readonly first: First
  readonly isStream: boolean
}

/** By partition, in the order in which they are read. Of a stream: what waits now. */
export async function plannedReads(
  { broker, bounds, isStream, ...rest }: PlanParts,
  from: Start,
): Promise<PlannedRead[]> {
  const offsets = isStream
    ? await beginnings(broker, from.position, { ...bounds, ...rest })
    : await spans(broker, from, bounds)
  const ends = new Map<string, number>()
  if (isStream) {
    for (const topic of bounds.topics) {
      for (const { partition, high } of await broker.watermarks(topic)) ends.set(`${topic}/${partition}`, high)
    }
  }
  return [...offsets].map(({ topic, partition, next, end }) => {
    const what = `${topic}/${partition}`
    const to = end ?? ends.get(what) ?? next
    return { what, unit: 'offset', from: next, to, records: Math.max(0, to - next), ...(isStream && { goesOn: true }) }
  })
}
