// A destination of arrays to which several loaders write at once, each its partition of a stream. What is published is there
// when all partitions have ended, and not before.

import * as z from 'zod'
import type { Checkpoint } from '../../lib/checkpoint.ts'
import type { Destination, DestinationDefinition } from '../../lib/destination.ts'
import { BizonError, Unloadable } from '../../lib/errors.ts'
import { readingOf, wholeRun } from '../../lib/partition.ts'
import { objectOf } from '../../lib/record.ts'
import type { Page } from '../../lib/source.ts'

interface Part {
  readonly run: string
  readonly rows: number[]
  readonly checkpoint: Checkpoint | undefined
  /** Of the process that opened it last. */
  readonly owner: symbol
}

export interface PartShelf {
  /** What readers see; of a stream, all that is committed. */
  published: number[]
  publishedRun: string | undefined
  readonly parts: Map<number, Part>
}

export const partShelf = (): PartShelf => ({ published: [], publishedRun: undefined, parts: new Map() })

export interface Ground {
  readonly interfere?: (step: string, partition: number) => void | Promise<void>
  /** Broken: all partitions have one checkpoint. */
  readonly sharesCheckpoint?: boolean
  /** Broken: an older process may go on writing. */
  readonly doesNotFence?: boolean
}

export function partShelfDestination(on: PartShelf, ground: Ground = {}): DestinationDefinition {
  const { interfere = () => {}, sharesCheckpoint = false, doesNotFence = false } = ground
  return {
    summary: 'Arrays.',
    config: z.strictObject({}),
    refusesPartitions: () => undefined,
    create(_, { partition }): Destination {
      const { index, of } = partition ?? { index: 0, of: 1 }
      const at = sharesCheckpoint ? 0 : index
      let run = { id: '', complete: true, stream: false }
      const owner = Symbol('process')
      let staged: number[] = []
      const mine = (): Part => {
        const part = on.parts.get(at)
        if (part && (doesNotFence || part.owner === owner)) return part
        throw new BizonError('fenced', 'a newer process has taken over')
      }
      return {
        async open({ id, complete, mode }) {
          await interfere('open', index)
          run = { id, complete, stream: mode === 'stream' }
          const before = on.parts.get(at)
          const goesOn = before?.run === id || sharesCheckpoint
          const kept = goesOn && before ? before : { rows: [], checkpoint: undefined }
          on.parts.set(at, { ...kept, run: id, owner })
          return kept.checkpoint && { ...kept.checkpoint, run: id }
        },
        async write({ records }: Page) {
          await interfere('write', index)
          staged.push(...records.map(({ data }) => objectOf(data).n as number))
        },
        async flush(checkpoint) {
          await interfere('flush', index)
          const part = mine()
          on.parts.set(at, { ...part, rows: [...part.rows, ...staged], checkpoint })
          if (run.stream) on.published.push(...staged)
          staged = []
          return undefined
        },
        async publish() {
          await interfere('publish', index)
          mine()
          const whole = wholeRun(run.id)
          if (on.publishedRun === whole) return undefined
          const parts = Array.from({ length: of }, (_, one) => on.parts.get(sharesCheckpoint ? 0 : one))
          if (!parts.every((part) => part?.checkpoint?.end && wholeRun(part.run) === whole)) {
            await interfere('waits', index)
            return 'waits'
          }
          if (new Set(parts.map((part) => readingOf(part?.checkpoint))).size > 1) {
            throw new Unloadable('source', `run ${whole} was read twice`)
          }
          const rows = [...new Set(parts)].flatMap((part) => part?.rows ?? [])
          on.published = run.complete ? rows : [...on.published, ...rows]
          on.publishedRun = whole
          await interfere('published', index)
          return undefined
        },
        async close() {},
      }
    },
  }
}
