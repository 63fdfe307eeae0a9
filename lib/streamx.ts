// The only import of streamx: the four steps open, work, final (on a clean end only), destroy (always), with
// promises instead of callbacks. Each surprise of streamx is met here once; test/lib/streamx.test.ts shows them.

import { pipelinePromise, Readable, type Stream, Transform, Writable } from 'streamx'
import { BizonError } from './errors.ts'
import { endGenerator, orAborted } from './wait.ts'

export interface StageOptions<Item> {
  /** Bytes that the stage may hold before it asks to wait; one item always fits. streamx's own count is 1 KiB an object. */
  readonly holdBytes: number
  readonly sizeOf: (item: Item) => number
}

/** A stage that yields what the generator yields. Its signal aborts when the stage is destroyed. */
export function readable<Item extends object>(
  generate: (signal: AbortSignal) => AsyncGenerator<Item, void, void>,
  { holdBytes, sizeOf }: StageOptions<Item>,
): Readable {
  const controller = new AbortController()
  const items = generate(controller.signal)
  return new Readable({
    highWaterMark: holdBytes,
    byteLength: weigh(sizeOf),
    // A pending read keeps streamx from destroying the stage, so that it must not outlast the signal.
    read: callback(async function (this: Readable) {
      const next = await orAborted(items.next(), controller.signal)
      if (next === undefined) return
      // streamx takes null for the end, without an error and without running the generator's finally.
      if (!next.done && (typeof next.value !== 'object' || next.value === null)) throw notAnItem(next.value)
      this.push(next.done ? null : next.value)
    }),
    predestroy: () => controller.abort(),
    destroy: callback(() => endGenerator(items)),
  })
}

export interface ThroughSteps<In, Out> {
  each(item: In, push: (item: Out) => void): void | Promise<void>
  /** After the last item of a clean end. */
  end?(push: (item: Out) => void): void | Promise<void>
  /** Always, and last. */
  close?(): void
}

/** A stage between two others. */
export function through<In extends object, Out extends object>(
  steps: ThroughSteps<In, Out>,
  { holdBytes, sizeOf }: StageOptions<In | Out>,
): Transform {
  const push = (item: Out): void => void (stage.destroying || stage.push(item))
  const stage: Transform = new Transform({
    highWaterMark: holdBytes,
    byteLength: weigh(sizeOf),
    transform: callback(async (item: unknown) => steps.each(item as In, push)),
    flush: callback(async () => steps.end?.(push)),
    predestroy: () => steps.close?.(),
    destroy: callback(async () => steps.close?.()),
  })
  return stage
}

export interface WritableSteps<Item> {
  write(item: Item): Promise<void>
  /** After the last item of a clean end; not after a failure or an abort. */
  final?(): Promise<void>
  /** Always, and last. */
  close?(): Promise<void>
}

/** The last stage. */
export function writable<Item extends object>(
  steps: WritableSteps<Item>,
  { holdBytes, sizeOf }: StageOptions<Item>,
): Writable {
  return new Writable({
    highWaterMark: holdBytes,
    byteLength: weigh(sizeOf),
    write: callback(async (item: unknown) => steps.write(item as Item)),
    final: callback(async () => steps.final?.()),
    destroy: callback(async () => steps.close?.()),
  })
}

/**
 * Runs the stages to their end. Settles after every stage is closed: the source's `finally` has run and nothing
 * is written any more. Rejects with the first failure, or with `signal.reason` as it is.
 */
export async function flow(signal: AbortSignal, ...stages: readonly [Readable, ...Stream[]]): Promise<void> {
  signal.throwIfAborted() // streamx ignores a signal that was aborted before, and finishes as if all were well
  const closed = stages.map((stage) => new Promise<void>((resolve) => stage.once('close', resolve)))
  const abort = (): void => stages[0].destroy(asError(signal.reason))
  signal.addEventListener('abort', abort, { once: true })
  try {
    await pipelinePromise(...(stages as unknown as [Readable, Writable]))
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  } finally {
    signal.removeEventListener('abort', abort)
    await Promise.all(closed)
  }
}

/** What weighs nothing streamx takes for not being there: the last of several such items would be lost at the end. */
function weigh<Item>(sizeOf: (item: Item) => number): (item: unknown) => number {
  return (item) => Math.max(1, sizeOf(item as Item))
}

/** streamx wants a callback, and one that never comes if an async function throws. */
function callback<This, Arguments extends unknown[]>(work: (this: This, ...args: Arguments) => Promise<unknown>) {
  return function (this: This, ...all: [...Arguments, (error?: Error | null) => void]): void {
    const done = all.pop() as (error?: Error | null) => void
    work.apply(this, all as unknown as Arguments).then(
      () => done(null),
      (error) => done(asError(error)),
    )
  }
}

function notAnItem(value: unknown): BizonError {
  return new BizonError(
    'internal',
    `a source yielded ${value === null ? 'null' : typeof value} where a page was expected`,
  )
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new BizonError('interrupted', String(reason))
}
