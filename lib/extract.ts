// The source's end of a pipeline: a definition, its config, and the loop that asks for one page after another.

import type { Cassette } from './cassette.ts'
import { type Checkpoint, payloadBytesOf } from './checkpoint.ts'
import { type ConfigInput, type ConfigOf, type ConfigOverrides, loadConfig } from './config.ts'
import { BizonError } from './errors.ts'
import { faultPoint } from './fault.ts'
import { createHttp, type Http, network } from './http.ts'
import type { Foreign } from './job.ts'
import { type Log, silentLog } from './log.ts'
import { redactLog } from './redact.ts'
import type { SourceFacts } from './report.ts'
import { type Seal, sealOf } from './seal.ts'
import {
  findStream,
  type Page,
  type PlannedRead,
  type Position,
  type Source,
  type Start,
  type StreamInfo,
} from './source.ts'
import { endGenerator, never, orAborted } from './wait.ts'

export interface ReadOptions {
  /** Aborts the read at once. */
  readonly signal: AbortSignal
  /** Ends the read after the page that is on its way, or instead of it: not an end of the data. */
  readonly stop?: AbortSignal | undefined
  /** Where the run stands, and which one its watermark is of. */
  readonly standing?: { readonly from: Checkpoint; readonly previous?: string | undefined } | undefined
  /** Awaited before a page is asked for: how the `stream` runner goes without read-ahead. */
  readonly ready?: ((pagesRead: number) => Promise<void>) | undefined
  /**
   * Told when the source fails. The read then just ends early, so that the pages before become durable and are not
   * read again; whoever is told must see to it that the run fails. Absent: the read throws.
   */
  readonly failed?: (error: unknown) => void
}

/** What a pipeline reads from: a source in this process, or what another process has read. */
export interface OpenSource {
  readonly config: ConfigOf<'source'>
  readonly stream: StreamInfo
  /** The run that another process has begun, when, and behind how many pages it goes on. */
  readonly begun?:
    | { readonly id: string; readonly at: Date; readonly page: number; readonly isQueued?: boolean | undefined }
    | undefined
  /** Records of a program that is not ours. Absent: what is read is what the run asks for. */
  readonly foreign?: Foreign | undefined
  /** Of the transforms that its records have been through, see `transformsHashOf`; absent: of none. */
  readonly transformed?: string | undefined
  /** Rejects, saying why, if it cannot be read. */
  check(signal: AbortSignal): Promise<void>
  /** How many records there are, if that can be told; only for progress. */
  count(signal: AbortSignal): Promise<number | undefined>
  /** Pages until one has `next: null`, or an end that is none: see `ReadOptions`. */
  read(from: Start, options: ReadOptions): AsyncGenerator<Page, void, void>
  reads(path: string): boolean
  acknowledge(position: Position): Promise<void>
  /** Told after the publish: which run that was, and its last checkpoint. */
  published?(run: string, end: Checkpoint): Promise<void>
  close(): Promise<void>
  /** For the report of the run; asked for once it is closed. */
  facts?(): SourceFacts
}

/** The first stage of a pipeline. */
export abstract class SourceEnd {
  abstract open(log?: Log): Promise<OpenSource>
}

interface ExtractParts {
  readonly cassette?: Cassette | undefined
  readonly hasty?: boolean
}

/** A source that was created from its config and is ready to be read once. */
export class OpenExtract implements OpenSource {
  readonly config: ConfigOf<'source'>
  readonly stream: StreamInfo
  readonly #source: Source
  readonly #http: Http
  readonly #seal: Seal
  readonly #cassette: Cassette | undefined
  /** Where the last page that has a next one ends. */
  #passed: Position | undefined

  constructor(config: ConfigOf<'source'>, log: Log, { cassette, hasty = false }: ExtractParts = {}) {
    const { definition, options, stream, mode } = config.source
    this.config = config
    this.stream = findStream(definition.streams(options), stream) ?? {
      name: stream,
    }
    const redacted = redactLog(log, config.secrets)
    this.#cassette = cassette
    this.#seal = sealOf(config.referenced)
    const transport = cassette?.transport ?? network
    this.#http = createHttp({ log: redacted, secrets: config.secrets, transport, hasty })
    this.#source = definition.create(options, {
      pipeline: config.name,
      stream,
      mode,
      log: redacted,
      http: this.#http,
      readAhead: config.engine.runner.type !== 'stream' && config.source.maxIterations === undefined,
    })
  }

  /** Rejects, saying why, if the source cannot be read. */
  async check(signal: AbortSignal): Promise<void> {
    await orAborted(Promise.resolve(this.#source.check?.(signal)), signal)
    signal.throwIfAborted()
  }

  /** How many records there are, if the source can tell; only for progress, so that a failure does not matter. */
  async count(signal: AbortSignal): Promise<number | undefined> {
    const counting = this.#source.count?.(signal).catch(() => undefined)
    const count = counting && (await orAborted(counting, signal))
    signal.throwIfAborted()
    return count
  }

  /** What would be read from there; undefined: the source does not say. */
  async plan(from: Start, signal: AbortSignal): Promise<readonly PlannedRead[] | undefined> {
    const planning = this.#source.plan?.(this.#opened(from), signal)
    const planned = planning && (await orAborted(planning, signal))
    signal.throwIfAborted()
    return planned
  }

  /**
   * Pages until the source is exhausted, was told to stop, or gave `max_iterations`. A batch source that just
   * stops, without a page that has `next: null`, fails the run: that it is exhausted must be said.
   */
  async *read(from: Start, options: ReadOptions): AsyncGenerator<Page, void, void> {
    try {
      yield* this.#pages(from, options)
    } catch (error) {
      if (!options.failed || options.signal.aborted) throw error
      options.failed(error)
    }
  }

  async *#pages(from: Start, { signal, stop = never, ready }: ReadOptions): AsyncGenerator<Page, void, void> {
    const { maxIterations = Infinity, mode, name } = this.config.source
    const enough = new AbortController()
    const halted = AbortSignal.any([signal, stop, enough.signal])
    const pages = this.#source.read(this.#opened(from), halted)
    try {
      for (let read = 0; read < maxIterations; read++) {
        await ready?.(read)
        faultPoint('fetch.before')
        const extractedAt = new Date()
        const next = await orAborted(pages.next(), halted)
        signal.throwIfAborted()
        if (next === undefined || stop.aborted) return
        faultPoint('fetch.after')
        if (next.done && mode === 'stream') return
        if (next.done) throw stoppedShort(name)
        const page = next.value
        const { next: place, watermark } = page
        this.#passed = place ?? this.#passed
        yield {
          ...page,
          next: place && this.#seal.close(place),
          ...(watermark !== undefined && { watermark: this.#seal.close(watermark) }),
          extractedAt,
          bytes: payloadBytesOf(page),
        }
        if (page.next === null) return
      }
    } finally {
      enough.abort()
      await endGenerator(pages)
    }
  }

  #opened({ position, since }: Start): Start {
    return {
      ...(position && { position: this.#seal.open(position) }),
      ...(since && { since: { ...since, ...(since.value !== undefined && { value: this.#seal.open(since.value) }) } }),
    }
  }

  reads(path: string): boolean {
    return this.#source.reads?.(path) ?? false
  }

  /** Whether it is of use to tell it what is durable. */
  get acknowledges(): boolean {
    return this.#source.acknowledge !== undefined
  }

  async acknowledge(position: Position): Promise<void> {
    await this.#source.acknowledge?.(this.#seal.open(position))
  }

  /** The end has no place of its own: all that came before it is durable. */
  async published(): Promise<void> {
    if (this.#passed) await this.#source.acknowledge?.(this.#passed)
  }

  facts(): SourceFacts {
    return { httpRetries: this.#http.retries() }
  }

  async close(): Promise<void> {
    try {
      await this.#source.close?.()
    } finally {
      await this.#http.close().finally(() => this.#cassette?.close())
    }
  }
}

/**
 * The source of a pipeline file. Hand it to `pipeline`, or read its pages in a script:
 * `for await (const page of extract('pipeline.yml'))`. Read alone it starts at the beginning,
 * applies no transforms and keeps no state.
 */
export class Extract extends SourceEnd implements AsyncIterable<Page> {
  readonly #input: ConfigInput
  readonly #overrides: ConfigOverrides

  constructor(input: ConfigInput, overrides: ConfigOverrides = {}) {
    super()
    this.#input = input
    this.#overrides = overrides
  }

  /** `hasty`: somebody waits, so that requests are not tried again for long. */
  async open(log: Log = silentLog, { hasty = false }: { readonly hasty?: boolean } = {}): Promise<OpenExtract> {
    const config = await loadConfig(this.#input, ['source'], this.#overrides)
    const cassette = await openCassetteOf(config, log)
    try {
      return new OpenExtract(config, log, { cassette, hasty })
    } catch (error) {
      await cassette?.close()
      throw error
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Page, void, void> {
    const controller = new AbortController()
    const source = await this.open()
    try {
      await source.check(controller.signal)
      yield* source.read({}, { signal: controller.signal })
    } finally {
      controller.abort()
      await source.close()
    }
  }
}

/** The source end of a pipeline, from a YAML file or the same mapping as an object. */
export function extract(input: ConfigInput, overrides?: ConfigOverrides): Extract {
  return new Extract(input, overrides)
}

async function openCassetteOf({ cassette, source, secrets }: ConfigOf<'source'>, log: Log) {
  if (!cassette) return undefined
  const { openCassette } = await import('./cassette.ts')
  return openCassette(cassette, { source: source.name, wire: network, log: redactLog(log, secrets) })
}

function stoppedShort(source: string): BizonError {
  return new BizonError(
    'incomplete',
    `source ${source} stopped without a last page, so that nobody knows whether it gave everything`,
    {
      hint: 'The last page of a source has `next: null`. Nothing was published; run again once the source is mended.',
    },
  )
}
