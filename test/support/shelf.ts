// A destination made of plain arrays that outlive a run, as a database would: what is committed is there for the
// next run, what was only staged is gone. And sources that give what a test says.

import * as z from 'zod'
import type { Checkpoint } from '../../lib/checkpoint.ts'
import type { Destination, DestinationDefinition } from '../../lib/destination.ts'
import { objectOf, RawJson } from '../../lib/record.ts'
import type { Page, SourceDefinition, Start, StreamInfo } from '../../lib/source.ts'

export interface Shelf {
  /** What readers see. */
  published: number[]
  /** What is durable for a run that is not published yet. */
  committed: { run: string; rows: number[]; checkpoint: Checkpoint } | undefined
  /** Which run was published last. */
  publishedRun: string | undefined
  readonly calls: string[]
}

export function shelf(): Shelf {
  return { published: [], committed: undefined, publishedRun: undefined, calls: [] }
}

/** Called before each step of the destination; a throw is that step's failure. */
export type Interference = (step: string) => void | Promise<void>

export function shelfDestination(on: Shelf, interfere: Interference = () => {}): DestinationDefinition {
  return {
    summary: 'Arrays.',
    config: z.strictObject({}),
    create(): Destination {
      let run = { id: '', complete: true, stream: false }
      let staged: number[] = []
      const step = async (name: string): Promise<void> => {
        on.calls.push(name)
        await interfere(name)
      }
      return {
        async open({ id, complete, mode }) {
          await step('open')
          run = { id, complete, stream: mode === 'stream' }
          if (on.committed?.run !== id) on.committed = undefined
          return on.committed?.checkpoint
        },
        async write({ records }: Page) {
          await step('write')
          staged.push(...records.map(({ data }) => objectOf(data).n as number))
        },
        async flush(checkpoint) {
          await step('flush')
          on.committed = { run: run.id, rows: [...(on.committed?.rows ?? []), ...staged], checkpoint }
          staged = []
          return undefined
        },
        async publish() {
          await step('publish')
          if (on.publishedRun === run.id) return
          const rows = on.committed?.rows ?? []
          on.published = run.complete ? rows : [...on.published, ...rows]
          on.publishedRun = run.id
          await interfere('published')
        },
        async close() {
          on.calls.push('close')
        },
      }
    },
  }
}

export interface Script {
  /** Records a page, one number a page. */
  readonly pages: readonly number[]
  readonly stream?: Partial<StreamInfo>
  readonly interfere?: Interference
  /** Told what the source was asked to read from. */
  readonly started?: (from: Start) => void
  readonly acknowledged?: (position: unknown) => void
  /** Yields its pages and then just stops, or says that there is more. */
  readonly ending?: 'null' | 'return'
}

/** Gives records `{"n":0}`, `{"n":1}`, … in pages of the given sizes; its positions count pages. */
export function scriptedSource({
  pages,
  stream,
  interfere = () => {},
  started,
  acknowledged,
  ending = 'null',
}: Script): SourceDefinition {
  return {
    summary: 'As a test says.',
    config: z.strictObject({}),
    streams: () => [{ name: '*', resumable: true, incremental: true, ...stream }],
    create: () => ({
      async check() {
        await interfere('check')
      },
      async *read(from, signal) {
        started?.(from)
        const first = (from.position?.page ?? from.since?.value ?? 0) as number
        if (first >= pages.length) yield { records: [], next: null, watermark: pages.length }
        for (let at = first; at < pages.length; at++) {
          await interfere('fetch')
          if (signal.aborted) return
          const before = pages.slice(0, at).reduce((sum, size) => sum + size, 0)
          const records = Array.from({ length: pages[at] ?? 0 }, (_, i) => ({
            id: String(before + i),
            data: RawJson.from(`{"n":${before + i}}`),
          }))
          const last = at === pages.length - 1 && ending === 'null'
          yield { records, next: last ? null : { page: at + 1 }, watermark: at + 1 }
        }
      },
      ...(acknowledged && { acknowledge: async (position: unknown) => acknowledged(position) }),
    }),
  }
}
