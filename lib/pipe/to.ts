// The first half of a pipeline, into a pipe: the source, the transforms, and a STATE line behind each page.
//
//   source ──page──▶ transform* ──page──▶ checkpoint ──item──▶ lines ──▶ standard output
//     ▲                                    behind each page
//     └── where the loader stands: the state store that both name, or --state; while it runs, that store or --ack

import type { Channel } from '../channel.ts'
import { type Checkpoint, checkpoints, type Item, payloadBytesOf } from '../checkpoint.ts'
import type { Observer } from '../events.ts'
import type { Extract, OpenExtract } from '../extract.ts'
import { faultPoint } from '../fault.ts'
import { InFlight } from '../in-flight.ts'
import { type Log, silentLog } from '../log.ts'
import type { Meter } from '../meter.ts'
import { checkPartitions } from '../partition.ts'
import { firstHalf, observersOf } from '../pipeline.ts'
import { redactError } from '../redact.ts'
import type { Position } from '../source.ts'
import { type OpenTransforms, openTransforms } from '../transforms.ts'
import { closeAll } from '../wait.ts'
import { Acknowledging, type AcknowledgingParts, lineAcks, storeAcks } from './acks.ts'
import type { Bookmarks } from './bookmarks.ts'
import type { PipeFormat } from './forms.ts'
import type { ByteOut } from './out.ts'
import { standingBehind } from './queue/standing.ts'
import { QueueWriter } from './queue/write.ts'
import { type Said, standingOf } from './standing.ts'
import { PipeWriter } from './write.ts'

export interface ExtractToOptions {
  /** Default singer. */
  readonly format?: PipeFormat
  /** Where the loader stands: what it said, or a file with the last STATE that it printed, instead of the state store. */
  readonly from?: string | Said | undefined
  /** Where a loader prints what is durable while it loads: a file, a FIFO, `-`. Absent: the state store is asked, if `from` is absent too. */
  readonly ack?: string | undefined
  /** One of several streams of a Singer tap. Absent: the only one. */
  readonly among?: Bookmarks
  /** Whether the first line says what a loader of ours must know. Default true. */
  readonly begin?: boolean
  readonly log?: Log
  /** Ends it at once: it rejects with the signal's reason. */
  readonly signal?: AbortSignal
  /** Ends it after the page that is on its way; before the first one it rejects, as by `signal`. */
  readonly stop?: AbortSignal
  readonly observe?: Observer
  readonly meter?: Meter | undefined
}

export interface Extracted {
  /** `stopped`: by a signal or `max_iterations`; the pipe then has no end, and a loader publishes nothing. */
  readonly status: 'complete' | 'stopped'
  readonly rows: number
  readonly bytes: number
  readonly pages: number
  readonly seconds: number
}

/** A broker instead of a pipe. */
export interface QueueOut {
  readonly channel: Channel
  /** Begin where the destination stands, whatever waits in the queue. */
  readonly ignoresWaiting?: boolean
  /** Told which run is read. */
  readonly begins?: (run: string) => void
}

/**
 * Reads the source from where the loader stands, and writes it as lines, or as messages. Rejects with PipeClosed when nobody
 * reads the lines.
 */
export async function extractTo(
  from: Extract,
  out: ByteOut | QueueOut,
  options: ExtractToOptions = {},
): Promise<Extracted> {
  const { format = 'singer', from: said, ack, among, begin = true, log = silentLog, stop, meter } = options
  const observe = observersOf(options)
  const startedAt = performance.now()
  const failure = new AbortController() // of what goes on beside the flow
  const signal = AbortSignal.any([failure.signal, ...(options.signal ? [options.signal] : [])])
  const opening = stop ? AbortSignal.any([signal, stop]) : signal
  signal.throwIfAborted()
  const count = { rows: 0, bytes: 0, pages: 0 }
  let latest: Checkpoint | undefined
  /** The last place to go on: the end has none. */
  let place: Position | null = null

  const source = await from.open(log)
  let scripts: OpenTransforms | undefined
  const queue = 'channel' in out ? out : undefined
  const producer = queue?.channel.producer()
  let writer: Pick<PipeWriter, 'open' | 'write' | 'idle' | 'close'> | undefined
  let acknowledging: Acknowledging | undefined
  try {
    const { config, stream } = source
    const partitions = queue?.channel.partitions ?? 1
    const { destination } = config
    if (partitions > 1 && destination) checkPartitions({ ...config, destination }, config.source.mode)
    await producer?.open(opening)
    const last = queue?.ignoresWaiting ? undefined : await producer?.last()
    const { state, start, reasons, after } = queue
      ? await standingBehind(config, stream, log, last, queue.channel)
      : await standingOf(config, stream, log, said)
    queue?.begins?.(state.run)
    const given = meter && ((at: number, records: number) => meter.transforming(at, records))
    scripts = await openTransforms(config.transforms, { log, signal, secrets: config.secrets, given })
    if (!state.end) await source.check(opening)
    for (const reason of reasons) log.info(reason)
    meter?.begin({ config, run: state.run, from: state, since: start.since, reasons })
    observe({ type: 'start', job: state.run, ...(state.page > 0 && { from: state }), reasons })
    const failed = (error: unknown): void => failure.abort(error)
    const lines =
      producer && queue
        ? new QueueWriter({ producer, channel: queue.channel, stream, start: state, after, failed, signal })
        : new PipeWriter(out as ByteOut, format, stream, state, { failed, among })
    writer = lines
    await lines.open({ begin })
    latest = state
    place = state.position
    const acks = acksFor(source, state.run, { ack, said, log, partitions })
    acknowledging =
      acks &&
      new Acknowledging({
        acks,
        run: state.run,
        sent: () => ({ page: latest?.page ?? 0, position: place }),
        acknowledge: (position) => source.acknowledge(position),
        failed,
      })
    const broken: unknown[] = []
    const turns = new Turns()
    const inFlight = new InFlight()
    // A stream may have nothing to write for hours, in which nobody would notice that its reader is gone.
    const endless = config.source.mode === 'stream'
    const write = async (item: Item): Promise<void> => {
      faultPoint('pipe.before')
      await turns.take(() => lines.write(item))
      faultPoint('pipe.after')
      if ('records' in item) {
        const { records } = item
        const bytes = payloadBytesOf(item)
        count.rows += records.length
        count.bytes += bytes
        count.pages += 1
        inFlight.written()
        observe({ type: 'page', rows: records.length, bytes })
      } else {
        latest = item
        place = item.position ?? place
        observe({ type: 'checkpoint', checkpoint: item })
      }
    }
    if (!state.end) {
      const broke = (error: unknown): void => void broken.push(error)
      const looking = endless ? setInterval(() => turns.ifIdle(() => lines.idle()), IDLE_MS) : undefined
      await firstHalf({
        signal,
        pages: (inner) => {
          const pages = source.read(start, { signal: inner, stop, failed: broke })
          return inFlight.reading(meter ? meter.waiting(meter.reading(pages)) : pages, inner)
        },
        transforms: scripts.steps,
        checkpoints: checkpoints(state, { everyPages: 1 }),
        into: { write: (item) => (meter ? meter.spent('destination', write(item)) : write(item)) },
      }).finally(() => clearInterval(looking))
    }
    signal.throwIfAborted()
    if (broken.length > 0) throw broken[0]
    const status = latest.end ? 'complete' : 'stopped'
    await turns.take(() => lines.close(endless ? 'complete' : status))
    // Nobody knows when what waits in a queue is loaded.
    if (acknowledging && place && source.acknowledges && !('channel' in out)) {
      out.end?.()
      await acknowledging.settle(latest.page, signal)
      signal.throwIfAborted()
    }
    const seconds = (performance.now() - startedAt) / 1000
    return { status, ...count, seconds }
  } catch (error) {
    await writer?.close('failed').catch(() => {}) // there is an error on its way already
    redactError(error, source.config.secrets)
    throw error
  } finally {
    await closeAll(
      () => acknowledging?.close(),
      () => producer?.close(),
      () => scripts?.close(),
      () => source.close(),
    ).finally(() => meter?.end({ source: source.facts() }))
  }
}

const IDLE_MS = 3000

/** One call at a time. */
class Turns {
  #last: Promise<unknown> = Promise.resolve()
  #idle = true
  #asked = false

  take<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#idle = false
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return result
  }

  /** Only where nobody has had a turn since this was asked last. */
  ifIdle(work: () => Promise<void>): void {
    if (this.#idle && !this.#asked) {
      this.#asked = true
      // What fails is told to whoever writes next, and at once by the writer itself.
      this.take(work)
        .catch(() => {})
        .finally(() => {
          this.#asked = false
        })
    }
    this.#idle = true
  }
}

/** Undefined: nobody says what is durable, or wants to know. */
function acksFor(
  { config, acknowledges }: OpenExtract,
  run: string,
  {
    ack,
    said,
    log,
    partitions,
  }: { ack: string | undefined; said: ExtractToOptions['from']; log: Log; partitions: number },
): AcknowledgingParts['acks'] | undefined {
  if (ack !== undefined) return (signals) => lineAcks(ack, signals)
  if (said !== undefined || !acknowledges) return undefined
  return (signals) => storeAcks(config, run, log, signals, partitions)
}
