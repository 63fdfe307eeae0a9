// The heart: one flow of pages and checkpoints, in two halves with a queue between.
//
//   source ──page──▶ transform* ──page──▶ checkpoint ──item──▶ queue ──item──▶ destination
//     ▲              of records           a barrier every                      write* flush … publish
//     │                                   N pages, bytes, s                             │
//     └─────────── acknowledge ◀── state store ◀── position, once it is durable ◀───────┘
//
// The destination is asked first where to go on. A checkpoint that says `end` is the only way to `publish`.

import { bytesOf, checkpoints, type Item, isPage } from './checkpoint.ts'
import type { Observer, Outcome } from './events.ts'
import { InFlight } from './in-flight.ts'
import type { OpenLoad } from './load.ts'
import { silentLog } from './log.ts'
import { type Delivery, openQueue } from './queue.ts'
import { redactError } from './redact.ts'
import type { Page } from './source.ts'
import { arrange, checkpointsOf, type PipelineOptions, type Stages } from './steps.ts'
import { flow, readable, type ThroughSteps, through, type WritableSteps, writable } from './streamx.ts'
import { applyTransform, type Transform } from './transform.ts'
import { type OpenTransforms, openTransforms } from './transforms.ts'
import { closeAll } from './wait.ts'

/** Runs an extract through the steps into a load; resolves once that is published, or was stopped. */
export async function pipeline(...stages: Stages): Promise<Outcome> {
  const { from, transforms, checkpointing, to, options } = arrange(stages)
  const { log = silentLog, stop, meter } = options
  const observe = observersOf(options)
  const failure = new AbortController() // the first failure, on either side, ends both
  const fail = (error: unknown): void => failure.abort(error)
  const signal = AbortSignal.any([failure.signal, ...(options.signal ? [options.signal] : [])])
  signal.throwIfAborted()

  const source = await from.open(log)
  let opened: OpenLoad | undefined
  let scripts: OpenTransforms | undefined
  try {
    const sink = await to.prepare(source, { log, signal, observe, meter })
    opened = sink
    const given = meter && ((at: number, records: number) => meter.transforming(at, records))
    scripts = await openTransforms(sink.config.transforms, { log, signal, secrets: sink.config.secrets, given })
    const { from: standing, start, standing: place, ready, rows } = await sink.open(stop)
    const turn = ready && meter ? (pages: number) => meter.spent('destination', ready(pages)) : ready
    const broken: unknown[] = [] // by the source: what it gave before that is kept, and the run fails after it
    const failed = (error: unknown): void => void broken.push(error)
    const inFlight = new InFlight()
    const queue = await openQueue(sink.config.engine.queue, signal)

    const steps = [...scripts.steps, ...transforms]
    const extracting = firstHalf({
      signal,
      pages: (inner) => {
        if (standing.end) return nothing()
        const pages = source.read(start, { signal: inner, stop, standing: place, ready: turn, failed })
        const read = meter ? meter.reading(pages) : pages
        // Rows are made after the transforms, in parts that wait to be asked for: a record may be many of them.
        return inFlight.reading(rows ? rows(transformed(read, steps, signal)) : read, inner)
      },
      transforms: rows ? [] : steps,
      checkpoints: checkpoints(standing, checkpointing ?? checkpointsOf(sink.config)),
      into: {
        write: (item) => (meter ? meter.spent('destination', queue.put(item, signal)) : queue.put(item, signal)),
        final: () => queue.finish(),
      },
    })
    const loading = flow(
      signal,
      readable((inner) => (meter ? meter.waiting(queue.take(inner)) : queue.take(inner)), DELIVERIES),
      writable<Delivery>(
        {
          write: async (delivery) => {
            await sink.write(delivery)
            if (isPage(delivery.item)) inFlight.written()
          },
          final: () => sink.final(),
        },
        DELIVERIES,
      ),
    )

    await Promise.all([extracting.catch(fail), loading.catch(fail)])
    await queue.close()
    signal.throwIfAborted()
    if (broken.length > 0) throw broken[0]
    return sink.outcome()
  } catch (error) {
    await opened?.fail(error)
    redactError(error, opened?.config.secrets ?? source.config.secrets)
    throw error
  } finally {
    await closeAll(
      () => scripts?.close(),
      () => opened?.close(),
      () => source.close(),
    ).finally(() => meter?.end({ source: source.facts?.(), destinationRetries: opened?.retries() }))
  }
}

/** The one who was told of, and the meter. */
export function observersOf({ observe = () => {}, meter }: Pick<PipelineOptions, 'observe' | 'meter'>): Observer {
  if (!meter) return observe
  return (event) => {
    meter.observe(event)
    observe(event)
  }
}

export interface FirstHalf {
  readonly signal: AbortSignal
  readonly pages: (signal: AbortSignal) => AsyncGenerator<Page, void, void>
  readonly transforms: readonly Transform[]
  readonly checkpoints: ThroughSteps<Page, Item>
  readonly into: WritableSteps<Item>
}

async function* transformed(
  pages: AsyncIterable<Page>,
  steps: readonly Transform[],
  signal: AbortSignal,
): AsyncGenerator<Page, void, void> {
  for await (let page of pages) {
    for (const apply of steps) page = await applyTransform(apply, page, signal)
    yield page
  }
}

/** Pages through transforms and barriers into whatever leads to the loader: a queue, or a pipe to another process. */
export function firstHalf({ signal, pages, transforms, checkpoints, into }: FirstHalf): Promise<void> {
  return flow(
    signal,
    readable(pages, PAGES),
    ...transforms.map((apply) =>
      through<Page, Page>({ each: (page, push) => applyTransform(apply, page, signal).then(push) }, PAGES),
    ),
    through(checkpoints, PAGES),
    writable(into, PAGES),
  )
}

// A stage holds one item, whatever its size: what waits, waits in the queue, which counts bytes.
const PAGES = { holdBytes: 1, sizeOf: bytesOf }
const DELIVERIES = {
  holdBytes: 1,
  sizeOf: ({ item }: Delivery) => bytesOf(item),
}

/** All is staged already; only the publish is left. */
async function* nothing(): AsyncGenerator<Page, void, void> {}
