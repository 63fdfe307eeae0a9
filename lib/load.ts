// The destination's end of a pipeline: opens what a run needs, writes pages, makes checkpoints durable, publishes.
// The order at a checkpoint is the promise: destination, then state store, then source and queue.

import { checkApart } from './apart.ts'
import { digestedBy, targetOf } from './audit/reader.ts'
import { Tallying } from './audit/tally.ts'
import { type Checkpoint, isPage, payloadBytesOf } from './checkpoint.ts'
import { scalarFields, withChildTables } from './child-tables.ts'
import { type ConfigInput, type ConfigOf, loadConfig, type PipelineConfig } from './config.ts'
import type { Destination } from './destination.ts'
import type { Observer, Outcome } from './events.ts'
import type { OpenSource, ReadOptions } from './extract.ts'
import { faultPoint } from './fault.ts'
import type { Log } from './log.ts'
import type { Meter } from './meter.ts'
import { checkPartitions } from './partition.ts'
import { publishRun } from './publishing.ts'
import type { Delivery } from './queue.ts'
import { redactLog } from './redact.ts'
import { idPrefixOf } from './row-id.ts'
import { identityOf, type OpenRun, openRun, publishedEnd, transformsHashOf } from './run.ts'
import type { Page, Start } from './source.ts'
import { holder, type Lease, type StateStore } from './state.ts'
import { transformsOf } from './transforms.ts'
import { closeAll, Signpost } from './wait.ts'

export interface LoadOptions {
  readonly log: Log
  readonly signal: AbortSignal
  readonly observe: Observer
  readonly meter?: Meter | undefined
}

export interface Opening {
  /** Where the run stands. */
  readonly from: Checkpoint
  /** The same in the source's terms. */
  readonly start: Start
  readonly standing: ReadOptions['standing']
  /** Resolves when the page after so many may be asked for; absent: at any time. */
  readonly ready: ((pages: number) => Promise<void>) | undefined
  /** Makes rows of several tables of the records, the last step before rows are counted; absent: records are rows. */
  readonly rows: ((pages: AsyncIterable<Page>) => AsyncGenerator<Page, void, void>) | undefined
}

/** A destination with its state: opened before the first page, closed after the last, whatever happens between. */
export class OpenLoad {
  readonly config: PipelineConfig
  readonly #source: OpenSource
  readonly #options: LoadOptions
  readonly #store: StateStore
  readonly #destination: Destination
  readonly #tallying: Tallying
  /** Why no digests are kept, though they are asked for. */
  readonly #undigested: string | undefined
  readonly #written = new Signpost()
  readonly #startedAt = performance.now()
  #stop: AbortSignal | undefined
  #lease: Lease | undefined
  #run: OpenRun | undefined
  #durable: Checkpoint | undefined
  /** The end of the run, once it is published. */
  #published: Checkpoint | undefined
  #counts = { rows: 0, bytes: 0, pages: 0, checkpoints: 0 }

  constructor(config: ConfigOf<'destination'>, source: OpenSource, options: LoadOptions) {
    this.config = {
      ...config,
      source: source.config.source,
      destination: config.destination,
      transforms: transformsOf(source.config.transforms, config.transforms),
      secrets: [...config.secrets, ...source.config.secrets],
    }
    this.#source = source
    const log = redactLog(options.log, this.config.secrets)
    this.#options = { ...options, log }
    const { backend } = config.engine
    const { definition, options: own } = config.destination
    const { stream, mode, partition } = this.config.source
    if (partition) checkPartitions(config, mode)
    const { schema: whole } = source.stream
    const schema = whole && own.unnestDepth !== undefined ? scalarFields(whole) : whole
    const isTransformed = this.config.transforms.length > 0
    this.#store = backend.definition.create(backend, { log })
    this.#destination = definition.create(own, {
      pipeline: config.name,
      stream,
      ...(partition && { partition }),
      mode,
      ...(schema && !isTransformed && { schema }),
      isTransformed,
      log,
    })
    const { of, no } = config.verify ? digestedBy(this.config) : {}
    this.#undigested = no
    this.#tallying = new Tallying((name = stream) => targetOf(own, name), of)
  }

  /**
   * Takes the lock, chooses the job, and asks the destination where it stands: there the extract goes on. Until then
   * nothing is under way that `stop` would have to wait for, so that it aborts.
   */
  async open(stop?: AbortSignal): Promise<Opening> {
    this.#stop = stop
    const { log, observe } = this.#options
    const signal = stop ? AbortSignal.any([this.#options.signal, stop]) : this.#options.signal
    checkApart(this.config, this.#source, this.#destination)
    await this.#store.open()
    const lease = await this.#store.acquire(identityOf(this.config), holder())
    this.#lease = lease
    await this.#source.check(signal)
    const published = await publishedEnd(this.#store, this.config, this.#source.begun)
    if (published) return this.#nothingToDo(published)
    const total = await this.#source.count(signal)
    const run = await openRun({
      config: this.config,
      stream: this.#source.stream,
      total,
      store: this.#store,
      lease,
      begun: this.#source.begun,
      foreign: this.#source.foreign,
      destination: this.#destination,
      log,
      signal,
    })
    this.#run = run
    this.#durable = run.from
    this.#tallying.resume(run.from)
    for (const reason of run.reasons) log.info(reason)
    if (this.#undigested !== undefined) log.info(this.#undigested)
    this.#options.meter?.begin({
      config: this.config,
      run: run.id,
      attempt: run.attempt,
      began: run.began,
      from: run.from,
      since: run.start.since,
      reasons: run.reasons,
    })
    observe({
      type: 'start',
      job: run.id,
      ...(run.from.page > 0 && { from: run.from }),
      reasons: run.reasons,
      ...(total !== undefined && { total }),
    })
    const oneAtATime = this.config.engine.runner.type === 'stream'
    return {
      from: run.from,
      start: run.start,
      standing: { from: run.from, previous: run.previous },
      ready: oneAtATime ? (pages) => this.#pagesWritten(pages) : undefined,
      rows: this.#rowsFrom(run),
    }
  }

  #rowsFrom({ id, from }: OpenRun): Opening['rows'] {
    const { definition, options } = this.config.destination
    const { unnestDepth: depth } = options
    const { childTables: names } = definition
    if (depth === undefined || !names) return undefined
    const { name: pipeline, ...identity } = identityOf(this.config)
    const idPrefix = idPrefixOf(id, { pipeline, ...identity })
    const usual = (stream = this.config.source.stream): string => targetOf(options, stream)
    const links = names.links(options)
    return (pages) => withChildTables(pages, { depth, names, links, idPrefix, rows: from.rows, usual })
  }

  /** What the pipe holds is published already: its producer had not heard of it. */
  #nothingToDo(end: Checkpoint): Opening {
    const { log, observe } = this.#options
    const reason = `run ${end.run} is published already`
    log.info(reason)
    this.#options.meter?.begin({ config: this.config, run: end.run, from: end, reasons: [reason] })
    observe({ type: 'start', job: end.run, from: end, reasons: [reason] })
    this.#published = end
    return { from: end, start: {}, standing: { from: end }, ready: undefined, rows: undefined }
  }

  /** Whether both ends and the state store can be reached. Creates the tables of the state; loads nothing. */
  async check(): Promise<void> {
    if (this.#undigested !== undefined) this.#options.log.warn(this.#undigested)
    checkApart(this.config, this.#source, this.#destination)
    await this.#source.check(this.#options.signal)
    await this.#store.open()
    await this.#destination.check?.(this.#options.signal)
  }

  /** One item: a page is staged; a checkpoint makes everything before it durable and moves every position behind it. */
  async write(delivery: Delivery): Promise<void> {
    const { signal, observe } = this.#options
    const { ack } = delivery
    const item = isPage(delivery.item) ? delivery.item : this.#tallied(delivery.item)
    if (isPage(item)) {
      this.#tallying.add(item)
      await this.#destination.write(item, signal)
      item.release?.()
      const bytes = payloadBytesOf(item)
      if (!item.isPart) this.#counts.pages += 1
      this.#counts.rows += item.records.length
      this.#counts.bytes += bytes
      this.#written.change()
      observe({ type: 'page', rows: item.records.length, bytes })
      return
    }
    if (item.end) faultPoint('end.received')
    const receipt = await this.#destination.flush(item)
    this.#durable = item
    await this.#open.save(item, receipt)
    if (item.position) await this.#source.acknowledge(item.position)
    await ack()
    this.#counts.checkpoints += 1
    observe({ type: 'checkpoint', checkpoint: item })
  }

  /** After the last item of a clean end: publishes if the extract is known to be complete, else leaves the run to be resumed. */
  async final(): Promise<void> {
    if (!this.#published) {
      if (!this.#durable?.end) return this.#open.pause()
      this.#open.checkSize(this.#durable)
      await this.#open.checkEnds()
      if (!(await this.#publish())) return this.#open.pause()
      this.#options.observe({ type: 'published' })
      await this.#open.succeed(this.#durable)
      this.#published = this.#durable
    }
    await this.#source.published?.(this.#job, this.#published)
  }

  /** False: it was stopped, or given up, while other partitions have not ended. */
  async #publish(): Promise<boolean> {
    const { signal, log } = this.#options
    const halted = this.#stop ? AbortSignal.any([signal, this.#stop]) : signal
    const parts = { destination: this.#destination, store: this.#store, config: this.config, run: this.#job }
    return publishRun({ ...parts, log, signal: halted })
  }

  /** The checkpoint, with what `bizon verify` is to know of the rows before it. */
  #tallied(checkpoint: Checkpoint): Checkpoint {
    const tally = this.#tallying.checkpoint()
    return tally ? { ...checkpoint, tally } : checkpoint
  }

  async #pagesWritten(pages: number): Promise<void> {
    while (this.#counts.pages < pages) await this.#written.wait(this.#options.signal)
  }

  /** Records why the run failed, unless what failed came behind its success. Never throws. */
  async fail(error: unknown): Promise<void> {
    if (!this.#published) await this.#run?.fail(error)
  }

  /** In reverse order of opening, every step even when one fails. */
  async close(): Promise<void> {
    await closeAll(
      () => this.#destination.close(),
      () => this.#lease?.release(),
      () => this.#store.close(),
    )
  }

  /** See `Destination`. */
  retries(): number | undefined {
    return this.#destination.retries?.()
  }

  outcome(): Outcome {
    const direct = this.config.source.mode === 'stream'
    const from = this.#run?.from
    return {
      status: this.#published ? 'complete' : 'stopped',
      job: this.#job,
      ...this.#counts,
      totalRows: (this.#durable ?? this.#published)?.rows ?? 0,
      seconds: (performance.now() - this.#startedAt) / 1000,
      ...(from && from.page > 0 && { resumedFrom: from }),
      outputs: this.#published || direct ? (this.#destination.outputs?.() ?? []) : [],
    }
  }

  get #job(): string {
    return this.#run?.id ?? this.#published?.run ?? ''
  }

  get #open(): OpenRun {
    if (!this.#run) throw new TypeError('the load is not open')
    return this.#run
  }
}

/** The destination end of a pipeline, from a YAML file or the same mapping as an object. */
export class Load {
  readonly #input: ConfigInput

  constructor(input: ConfigInput) {
    this.#input = input
  }

  async prepare(source: OpenSource, options: LoadOptions): Promise<OpenLoad> {
    const config = await loadConfig(this.#input, ['destination'])
    // One file may serve both ends: its transforms are done once.
    const done = source.transformed !== undefined && source.transformed === (await transformsHashOf(config.transforms))
    return new OpenLoad(done ? { ...config, transforms: [] } : config, source, options)
  }
}

export function load(input: ConfigInput): Load {
  return new Load(input)
}
