// What a run counts of itself, for its report. Where nobody asks for one, nothing is counted.

import { type Checkpoint, payloadBytesOf } from './checkpoint.ts'
import type { ConfigOf, PipelineConfig } from './config.ts'
import type { PipelineEvent } from './events.ts'
import type { SourceFacts } from './report.ts'
import type { Page, Watermark } from './source.ts'

/** One stream's run as it begins. */
export interface Beginning {
  readonly config: ConfigOf<'source'> & Partial<Pick<PipelineConfig, 'destination'>>
  readonly run: string
  /** From 1; absent where another process counts them. */
  readonly attempt?: number
  /** When its first attempt began: the time of the next watermark. */
  readonly began?: Date
  readonly from?: Checkpoint | undefined
  readonly since?: Watermark | undefined
  readonly reasons: readonly string[]
}

/** The counts of one stream. */
export class Counts {
  beginning: Beginning | undefined
  /** Before transforms. */
  readonly read = { rows: 0, bytes: 0 }
  readonly written = { rows: 0, bytes: 0, pages: 0, checkpoints: 0 }
  /** Seconds in which the loading half had nothing to do, and the reading half no room. */
  readonly waited = { source: 0, destination: 0 }
  /** Records that came to each transform of the config. */
  readonly transformed: number[] = []
  durable: Checkpoint | undefined
  published = false
  destinationRetries: number | undefined
  source: SourceFacts = {}
}

export class Meter {
  /** One for each run, in the order in which they began; what was counted before is in the first. */
  readonly streams: Counts[] = [new Counts()]
  readonly #parts = new Map<number, Meter>()

  /** Of the partitions of a stream, each of which is loaded beside the others. */
  get parts(): readonly Meter[] {
    return [...this.#parts.values()]
  }

  /** Of the partition; the same each time that it is given to this process. */
  part(index: number): Meter {
    const part = this.#parts.get(index) ?? new Meter()
    this.#parts.set(index, part)
    return part
  }

  /** A run may begin more than once, as with each extract that goes on with it: it is counted as one. */
  begin(beginning: Beginning): void {
    const { beginning: before } = this.#now
    if (before && before.run !== beginning.run) this.streams.push(new Counts())
    const isSame = before?.run === beginning.run
    this.#now.beginning = isSame ? { ...beginning, from: before.from, reasons: before.reasons } : beginning
    this.#now.durable = beginning.from
  }

  observe(event: PipelineEvent): void {
    const { written } = this.#now
    if (event.type === 'page') {
      written.pages += 1
      written.rows += event.rows
      written.bytes += event.bytes
    } else if (event.type === 'checkpoint') {
      written.checkpoints += 1
      this.#now.durable = event.checkpoint
    } else if (event.type === 'published') this.#now.published = true
  }

  /** Counts what the source gives. */
  async *reading(pages: AsyncGenerator<Page, void, void>): AsyncGenerator<Page, void, void> {
    for await (const page of pages) {
      const { read } = this.#now
      read.rows += page.records.length
      read.bytes += payloadBytesOf(page)
      yield page
    }
  }

  /** Counts the time until each item comes. */
  async *waiting<Item>(items: AsyncGenerator<Item, void, void>): AsyncGenerator<Item, void, void> {
    try {
      for (;;) {
        const next = await this.spent('source', items.next())
        if (next.done) return
        yield next.value
      }
    } finally {
      await items.return()
    }
  }

  /** Counts the time until it settles: `on` is what there is to wait for. */
  async spent<Result>(on: 'source' | 'destination', work: Promise<Result>): Promise<Result> {
    const began = performance.now()
    try {
      return await work
    } finally {
      this.#now.waited[on] += (performance.now() - began) / 1000
    }
  }

  /** Counts the records that come to the transform at this place of the list. */
  transforming(at: number, rows: number): void {
    const { transformed } = this.#now
    transformed[at] = (transformed[at] ?? 0) + rows
  }

  /** When all is closed. */
  end({
    source,
    destinationRetries,
  }: {
    source: SourceFacts | undefined
    destinationRetries?: number | undefined
  }): void {
    this.#now.source = source ?? {}
    if (destinationRetries === undefined) return
    this.#now.destinationRetries = (this.#now.destinationRetries ?? 0) + destinationRetries
  }

  get #now(): Counts {
    return this.streams.at(-1) as Counts
  }
}
