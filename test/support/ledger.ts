// A destination that writes down what it is given, as text and with its stream, and what is durable of it.

import * as z from 'zod'
import type { Checkpoint } from '../../lib/checkpoint.ts'
import type { Destination, DestinationDefinition, Run } from '../../lib/destination.ts'
import { textOf } from '../../lib/record.ts'
import type { Page, StreamInfo } from '../../lib/source.ts'

export interface Row {
  readonly stream: string
  readonly id: string
  readonly text: string
  readonly timestamp?: string
}

export interface Ledger {
  staged: Row[]
  durable: Row[]
  /** What readers see. */
  published: Row[]
  checkpoint: Checkpoint | undefined
  readonly runs: Pick<Run, 'id' | 'mode' | 'complete'>[]
  /** The stream of each page, and how many records it had. */
  readonly pages: { readonly stream: StreamInfo | undefined; readonly records: number }[]
}

export function ledger(): Ledger {
  return { staged: [], durable: [], published: [], checkpoint: undefined, runs: [], pages: [] }
}

export function ledgerDestination(on: Ledger, interfere: (step: string) => void = () => {}): DestinationDefinition {
  return {
    summary: 'A ledger.',
    config: z.strictObject({}),
    create(): Destination {
      let current: Pick<Run, 'id' | 'mode' | 'complete'> = { id: '', mode: 'stream', complete: false }
      return {
        async open({ id, mode, complete }) {
          current = { id, mode, complete }
          if (on.runs.at(-1)?.id !== id) Object.assign(on, { durable: [], checkpoint: undefined })
          on.staged = []
          on.runs.push(current)
          return on.checkpoint
        },
        async write({ records, stream }: Page) {
          interfere('write')
          on.pages.push({ stream, records: records.length })
          for (const { id, data, timestamp } of records) {
            const timed = timestamp === undefined ? {} : { timestamp: String(timestamp) }
            on.staged.push({ stream: stream?.name ?? '', id, text: textOf(data), ...timed })
          }
        },
        async flush(checkpoint) {
          interfere('flush')
          on.durable.push(...on.staged)
          on.staged = []
          on.checkpoint = checkpoint
          return undefined
        },
        async publish() {
          interfere('publish')
          on.published = current.complete ? on.durable : [...on.published, ...on.durable]
        },
        async close() {},
      }
    },
  }
}
