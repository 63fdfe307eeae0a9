// The way back of a pipe while it runs: what the loader has made durable is told to the source, which may forget it then.
// Where that stands is the state store that both ends name, or lines that the loader prints (`--ack`).

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Checkpoint } from '../checkpoint.ts'
import type { ConfigOf } from '../config.ts'
import { BizonError, messageOf, systemCode } from '../errors.ts'
import type { Log } from '../log.ts'
import { partIdentities, partRun } from '../partition.ts'
import { identityOf } from '../run.ts'
import type { Position } from '../source.ts'
import type { Identity } from '../state.ts'
import { sleep } from '../wait.ts'
import { wholeLines } from './lines.ts'
import { lastSaid } from './said.ts'

/** Up to here everything is durable. */
export interface Ack {
  readonly run: string
  readonly page: number
  readonly position: Position | null
}

export interface AckSignals {
  /** Ends it. */
  readonly signal: AbortSignal
  /** Nothing more is written: there is no time to lose, and nothing to wait for unless somebody loads. */
  readonly ending: AbortSignal
}

const STORE_SECONDS = 1
/** Only a run that another one has replaced is older, and is of nobody's interest. */
const NEWEST = 2
const FILE_SECONDS = 0.1
const BUFFER_BYTES = 1 << 16
/** How long an extract that has given everything waits for the rest of it to become durable. */
const GRACE_SECONDS = 5
/** When all is written and no loader has begun by then, there is none. */
const NOBODY_SECONDS = 2
/** Standard input. */
const DASH = '-'

/** What the state store holds of the run, as it grows. */
export async function* storeAcks(
  config: ConfigOf<'source'>,
  run: string,
  log: Log,
  { signal, ending }: AckSignals,
  partitions = 1,
): AsyncGenerator<Ack, void, void> {
  const { backend } = config.engine
  const store = backend.definition.create(backend, { log })
  const pause = (): Promise<void> =>
    ending.aborted ? sleep(FILE_SECONDS, signal) : sleep(STORE_SECONDS, AbortSignal.any([signal, ending]))
  const identity = identityOf(config)
  const parts: { part: Identity; id: string }[] =
    partitions === 1
      ? [{ part: identity, id: run }]
      : partIdentities(identity, partitions).map((part, index) => ({ part, id: partRun(run, index) }))
  /** Of several partitions, that which is the least far. */
  const standing = async (): Promise<{ readonly isBegun: boolean; readonly checkpoint?: Checkpoint | undefined }> => {
    let isBegun = false
    const found: (Checkpoint | undefined)[] = []
    for (const { part, id } of parts) {
      // Also the one that was published since.
      const job = (await store.jobs(part, NEWEST)).find((each) => each.id === id)
      isBegun ||= job !== undefined
      found.push(job && (await store.lastCheckpoint(job)))
    }
    const least = found.reduce((a, b) => (a && b && b.page < a.page ? b : a && b ? a : undefined))
    return { isBegun, checkpoint: least }
  }
  try {
    await store.open()
    let looks = NOBODY_SECONDS / FILE_SECONDS
    for (let page = 0; !signal.aborted; await pause()) {
      const { isBegun, checkpoint } = await standing()
      if (!isBegun && ending.aborted && --looks <= 0) return
      if (!checkpoint || checkpoint.page <= page) continue
      page = checkpoint.page
      yield { ...checkpoint, run }
    }
  } finally {
    await store.close()
  }
}

/** What a loader prints: into a file that grows, a FIFO, or (`-`) standard input. */
export async function* lineAcks(path: string, { signal }: AckSignals): AsyncGenerator<Ack, void, void> {
  const isInput = path === DASH
  const chunks: AsyncIterator<Buffer> = isInput ? process.stdin[Symbol.asyncIterator]() : following(path, signal)
  try {
    for await (const { buffer, start, end } of wholeLines({ [Symbol.asyncIterator]: () => chunks }, signal)) {
      const ack = lastSaid(buffer.subarray(start, end), '--ack', isInput ? 'standard input' : path)
      if (ack) yield ack
    }
  } finally {
    // A read of it that is under way would not end by itself.
    if (isInput) process.stdin.destroy()
    else await chunks.return?.()
  }
}

/**
 * What is in the file, and what is written to it from now on. Ends with a FIFO whose writers have gone; a file has no
 * end, and one that is not there yet is waited for.
 */
async function* following(path: string, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
  let file: FileHandle | undefined
  try {
    // A FIFO opens at once, whether or not somebody writes to it.
    for (; !file; await sleep(FILE_SECONDS, signal)) {
      if (signal.aborted) return
      file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
        if (systemCode(error) === 'ENOENT') return undefined
        throw unreadable(path, error)
      })
    }
    const seekable = (await file.stat()).isFile()
    for (let at = 0; !signal.aborted; ) {
      const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
      const bytes = await readSome(file, buffer, seekable ? at : null, path)
      if (bytes > 0) {
        at += bytes
        yield buffer.subarray(0, bytes)
        continue
      }
      if (bytes === 0 && !seekable && at > 0) return
      if (seekable && (await file.stat()).size < at) at = 0 // it was begun anew
      await sleep(FILE_SECONDS, signal)
    }
  } finally {
    await file?.close()
  }
}

/** How many bytes; -1: none for the moment. */
async function readSome(file: FileHandle, buffer: Buffer, at: number | null, path: string): Promise<number> {
  try {
    return (await file.read(buffer, 0, buffer.length, at)).bytesRead
  } catch (error) {
    if (systemCode(error) === 'EAGAIN') return -1
    throw unreadable(path, error)
  }
}

function unreadable(path: string, cause: unknown): BizonError {
  return new BizonError('usage', `--ack: cannot read ${path}: ${messageOf(cause)}`, { cause })
}

export interface AcknowledgingParts {
  readonly acks: (signals: AckSignals) => AsyncGenerator<Ack, void, void>
  readonly run: string
  /** The last page that was written, and the last place to go on. */
  readonly sent: () => { readonly page: number; readonly position: Position | null }
  readonly acknowledge: (position: Position) => Promise<void>
  /** Told at once when it cannot go on. */
  readonly failed: (error: unknown) => void
}

/** Tells the source, from now until it is closed. */
export class Acknowledging {
  readonly #parts: AcknowledgingParts
  readonly #closed = new AbortController()
  readonly #ending = new AbortController()
  readonly #progress = new AbortController()
  readonly #running: Promise<void>
  #page = -1
  #last = Infinity

  constructor(parts: AcknowledgingParts) {
    this.#parts = parts
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#closed.signal.aborted) parts.failed(error)
    })
  }

  /** After the last page: waits, for some seconds, until that is durable too. What is left is told by the next run. */
  async settle(page: number, signal: AbortSignal): Promise<void> {
    this.#last = page
    this.#ending.abort()
    if (this.#page < page) await sleep(GRACE_SECONDS, AbortSignal.any([signal, this.#progress.signal]))
  }

  async close(): Promise<void> {
    this.#closed.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { acks, run, sent, acknowledge } = this.#parts
    try {
      for await (const { run: of, page, position } of acks({
        signal: this.#closed.signal,
        ending: this.#ending.signal,
      })) {
        // Lines of an earlier run, or of another one, say nothing of this one.
        const last = sent()
        if (of !== run || page > last.page || page <= this.#page) continue
        const place = position ?? last.position
        if (place) await acknowledge(place)
        this.#page = page
        if (page >= this.#last) return
      }
    } finally {
      this.#progress.abort()
    }
  }
}
