// The pipe for scripts: lines to pages, pages to lines, and a pipe as the first stage of a pipeline. The commands
// bizon-extract and bizon-load stand on the same parts, in lib/pipe/.

import type { Checkpoint } from './checkpoint.ts'
import { type Log, silentLog } from './log.ts'
import { FromPipe, type FromPipeOptions } from './pipe/from.ts'
import { openPages, type PipeOptions } from './pipe/pages.ts'
import { type PipeState, readStateOf } from './pipe/state.ts'
import { PipeWriter } from './pipe/write.ts'
import type { Json, SourceRecord } from './record.ts'
import type { Page, StreamInfo, SyncMode } from './source.ts'
import { newId } from './state.ts'
import { never } from './wait.ts'

export type { FromPipeOptions, PipeOptions }

/** Some records that came through a pipe, in the order in which they came. */
export interface PipedPage {
  readonly records: readonly SourceRecord[]
  /** The stream that they are of, where the pipe may carry several; with its schema and key, if it says them. */
  readonly stream?: StreamInfo
  /** The STATE value behind them: once they are kept, a producer may go on from it. */
  readonly state?: Json
  /** Nothing more follows, and the producer said so; of a producer that cannot say so, the input ended. */
  readonly end: boolean
}

export interface ReadSingerOptions extends PipeOptions {
  /** Default: silence. */
  readonly log?: Log
}

/**
 * The records of a pipe: of bizon-extract, of a Singer tap, of an Airbyte source, or bare ones. `chunks` is a Node stream or
 * any other iterable of bytes. Throws when a line cannot be what the producer wrote, and when a pipe of bizon-extract
 * ends without its end: what was yielded before is whole. Leaving the loop does not close the stream.
 *
 * ```js
 * for await (const { records, state } of readSinger(process.stdin)) await keep(records, state)
 * ```
 */
export async function* readSinger(
  chunks: AsyncIterable<Uint8Array>,
  { log = silentLog, ...options }: ReadSingerOptions = {},
): AsyncGenerator<PipedPage, void, void> {
  const pages = await openPages(chunks, log, options)
  const { state: begin } = pages
  const standing = begin && { from: begin, previous: begin.previous }
  try {
    for await (const { page, value } of pages.read(standing, options.signal ?? never)) {
      const { records, stream, next, more } = page
      const end = !more && next === null
      yield { records, ...(stream && { stream }), ...(value && { state: value.parse() }), end }
    }
    options.signal?.throwIfAborted()
  } finally {
    await pages.close()
  }
}

/** What a pipe says of itself in its first line. */
export interface PipeAbout {
  /** With the names of source and stream, what a loader files its state under. */
  readonly pipeline: string
  readonly source: string
  readonly stream: StreamInfo
  /** `full_refresh`: what comes is all there is. `incremental`: it is added. Default full_refresh. */
  readonly mode?: SyncMode
  /**
   * The last STATE value that a loader printed, as JSON. Of an unfinished run: the pages go on behind its `position`. Of one
   * at its end, and incremental: they are what has come since. Absent: nothing was loaded yet.
   */
  readonly from?: Json | undefined
}

/**
 * Lines for bizon-load or any Singer target, from pages such as `extract(config)` gives, beginning with the first: each
 * item is some lines, as bytes. The last page, whose `next` is null, is the end; without one a loader publishes nothing.
 *
 * ```js
 * await pipeline(Readable.from(writeSinger(extract('orders.yml'), about)), process.stdout) // of node:stream/promises
 * ```
 */
export async function* writeSinger(pages: AsyncIterable<Page>, about: PipeAbout): AsyncGenerator<Buffer, void, void> {
  const { pipeline, source, stream, mode = 'full_refresh' } = about
  const names = { pipeline, source, stream: stream.name, mode }
  const settings = { resumable: stream.resumable ?? false, reset: false, startOver: false, hash: '', transforms: '' }
  const begin = { ...names, ...settings }
  const start: PipeState = { ...startOf(mode, about.from), of: { pipeline, stream: stream.name }, begin }
  const lines: Buffer[] = []
  const write = async (bytes: Uint8Array): Promise<void> => void lines.push(Buffer.from(bytes))
  const writer = new PipeWriter({ write }, 'singer', stream, start)
  await writer.open()
  yield* lines.splice(0)
  let latest: Checkpoint = start
  for await (const page of pages) {
    const { next, records, watermark } = page
    const { run, page: before, rows } = latest
    const place = { page: before + 1, rows: rows + records.length, position: next, end: next === null }
    latest = { run, ...place, ...(watermark !== undefined && { watermark }) }
    await writer.write(page)
    await writer.write(latest)
    yield* lines.splice(0)
    if (latest.end) return
  }
}

function startOf(mode: SyncMode, from: Json | undefined): PipeState {
  const before = readStateOf(from)
  if (before && !before.end) return before
  const previous = before && mode === 'incremental' ? { previous: before.run } : {}
  return { run: newId(), at: new Date(), ...previous, page: 0, rows: 0, end: false, position: null }
}

/**
 * A pipe as the first stage of a pipeline: `pipeline(fromPipe(process.stdin, 'b.yml'), load('b.yml'))` is bizon-load. `config` is
 * that of the destination.
 */
export function fromPipe(...parts: ConstructorParameters<typeof FromPipe>): FromPipe {
  return new FromPipe(...parts)
}
