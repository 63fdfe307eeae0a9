// Lines to pages, whatever they are written in: the first lines say which dialect is spoken, and one of its readers does
// the rest.

import type { Checkpoint } from '../checkpoint.ts'
import { BizonError } from '../errors.ts'
import type { ReadOptions } from '../extract.ts'
import type { Log } from '../log.ts'
import { never, orAborted } from '../wait.ts'
import { admit } from './admit.ts'
import { airbyteForm } from './airbyte/form.ts'
import { AirbyteOwnReader } from './airbyte/own.ts'
import { AirbyteReader, type Catalog } from './airbyte/read.ts'
import { CsvReader } from './csv.ts'
import { beginningOf, type Dialect, type PipeDialect } from './dialect.ts'
import { dialectIn, isVersioned, nothingCame, readHead, withoutTorn } from './head.ts'
import { InvalidLines, type InvalidPolicy } from './invalid.ts'
import { type Lines, wholeLines } from './lines.ts'
import { NdjsonReader } from './ndjson.ts'
import { OwnReader } from './own.ts'
import { eachLine, type PipePage, type PipeReader } from './read.ts'
import { type PipeState, writeState } from './state.ts'
import { SingerReader } from './tap.ts'

/** What is said of a pipe that is read. */
export interface PipeOptions {
  /** Default auto. */
  readonly from?: PipeDialect
  /** Records that a program between has dropped are no error; the order and the end are checked all the same. */
  readonly allowEdited?: boolean
  /** Of bare records, the field that is their id. Default: the number of the line. */
  readonly idField?: string | undefined
  /** Of bare records, the name of the stream. Default records. */
  readonly stream?: string | undefined
  /** What becomes of lines that are no records, of a producer that is not ours. Default fail. */
  readonly onInvalid?: InvalidPolicy | undefined
  /** With `dead_letter`: the file for them. */
  readonly deadLetter?: string | undefined
  /** Of Airbyte: which streams are to be loaded, and whether they replace what is there. Others are passed over. */
  readonly catalog?: Catalog
  /** What an unfinished load left is given up. */
  readonly startOver?: boolean | undefined
  /** Seconds of silence after which it fails. Default: it waits. */
  readonly stallSeconds?: number | undefined
  readonly signal?: AbortSignal
}

const LF = 0x0a

interface Opened {
  readonly dialect: Dialect
  /** What the first line of a producer of ours says. */
  readonly state: PipeState | undefined
  /** What comes takes the place of what was there. */
  readonly replaces: boolean
}

/** Waits for the first line. */
export async function openPages(
  chunks: AsyncIterable<Uint8Array>,
  log: Log,
  options: PipeOptions = {},
): Promise<PipePages> {
  const { from = 'auto', signal = never, stallSeconds = Infinity, catalog } = options
  const ended = new AbortController()
  const blocks = wholeLines(chunks, AbortSignal.any([signal, ended.signal]), { stallSeconds })
  const head = await readHead(blocks)
  if (!head.line && from !== 'ndjson') throw nothingCame()
  const own = head.line && !catalog ? beginningOf(head.line) : undefined
  if (own && (from === 'ndjson' || from === 'csv')) throw isOurs(from)
  if (own)
    for (const option of idleOptions(options))
      log.warn(`${option} has no effect: what comes is the pipe of a bizon-extract`)
  const dialect = own?.dialect ?? (from === 'auto' ? await dialectIn(head, blocks) : from)
  const replaces = catalog?.replaces ?? (!own && dialect === 'singer' && (await isVersioned(head, blocks)))
  const pipe = { blocks, read: head.blocks, end: () => ended.abort() }
  return new PipePages(pipe, { dialect, state: own?.state, replaces }, log, options)
}

/** What is said of bare records, or of programs that may print anything. */
function idleOptions({ idField, stream, onInvalid = 'fail' }: PipeOptions): string[] {
  return [
    ...(idField === undefined ? [] : ['--id']),
    ...(stream === undefined ? [] : ['--stream']),
    ...(onInvalid === 'fail' ? [] : [`--on-invalid ${onInvalid}`]),
  ]
}

function isOurs(from: PipeDialect): BizonError {
  return new BizonError('usage', `what comes is the pipe of a bizon-extract, not ${from}`, {
    hint: `Leave out --from ${from}; or let bizon-extract write bare records with --format ndjson.`,
  })
}

interface Pipe {
  readonly blocks: AsyncGenerator<Lines, void, void>
  /** What was read of them already. */
  readonly read: Lines[]
  end(): void
}

export class PipePages implements Opened {
  readonly dialect: Dialect
  readonly state: PipeState | undefined
  readonly replaces: boolean
  readonly #pipe: Pipe
  readonly #log: Log
  readonly #options: PipeOptions
  readonly #invalid: InvalidLines

  constructor(pipe: Pipe, { dialect, state, replaces }: Opened, log: Log, options: PipeOptions) {
    const { onInvalid, deadLetter } = options
    this.dialect = dialect
    this.state = state
    this.replaces = replaces
    this.#pipe = pipe
    this.#log = log
    this.#options = options
    this.#invalid = new InvalidLines({ policy: state ? 'fail' : onInvalid, deadLetter, log })
  }

  /** Called once. Ends without a last page when it is halted. */
  async *read(standing: ReadOptions['standing'], halted: AbortSignal): AsyncGenerator<PipePage, void, void> {
    const reader = this.#reader(standing)
    let number = 1
    let torn = false
    // The first line of ours was read to find out what the others mean.
    let skipped = this.state === undefined
    const taker = {
      line: (buffer: Buffer, start: number, end: number, line: number): boolean | undefined => {
        if (skipped) return reader.line(buffer, start, end, line)
        skipped = true
        return undefined
      },
      notUtf8: (buffer: Buffer, start: number, end: number, line: number): void =>
        reader.notUtf8(buffer, start, end, line),
    }
    for (let block = await this.#next(halted); block !== undefined; block = await this.#next(halted)) {
      torn = block.buffer[block.end - 1] !== LF
      if (this.state) block = withoutTorn(block)
      else if (torn) this.#invalid.endsTorn(block.buffer, block.end)
      for (let rest: Lines | undefined = block; rest !== undefined; ) {
        let broken: { readonly error: unknown } | undefined
        try {
          if (reader.block) {
            reader.block(rest)
            rest = undefined
          } else {
            ;({ number, rest } = eachLine(rest, number, taker))
          }
        } catch (error) {
          broken = { error } // the pages before it are whole
        }
        yield* this.#give(reader.take())
        if (broken) throw broken.error
        if (halted.aborted) return
        for await (const pages of reader.referred?.(halted) ?? []) yield* this.#give(pages)
        if (halted.aborted) return
      }
    }
    if (!halted.aborted) yield* this.#give(reader.finish(torn))
  }

  async *#give(pages: readonly PipePage[]): AsyncGenerator<PipePage, void, void> {
    await this.#invalid.settle()
    const extractedAt = new Date()
    for (const { page, ...rest } of pages) yield { page: { extractedAt, ...page }, ...rest }
  }

  /** Reads what there is, and gives none of it: its writer is not to fail. */
  async passOver(): Promise<void> {
    for (let block = await this.#next(never); block !== undefined; block = await this.#next(never));
  }

  /** The end of the run as a loader tells it. */
  spellEnd({ begin, ...place }: PipeState, { page, rows, watermark }: Checkpoint): string {
    const state = { ...place, page, rows, end: true, position: null, ...(watermark !== undefined && { watermark }) }
    if (this.dialect !== 'airbyte') return writeState(state)
    return airbyteForm({ name: begin?.stream ?? '' })
      .state(state, 0)
      .trimEnd()
  }

  async close(): Promise<void> {
    this.#pipe.end()
    await this.#pipe.blocks.return()
  }

  async #next(halted: AbortSignal): Promise<Lines | undefined> {
    const read = this.#pipe.read.shift()
    if (read) return halted.aborted ? undefined : read
    const next = await orAborted(this.#pipe.blocks.next(), halted)
    return next === undefined || next.done ? undefined : next.value
  }

  #reader(standing: ReadOptions['standing']): PipeReader {
    const { allowEdited = false, idField, catalog } = this.#options
    const { dialect, state, replaces } = this
    const invalid = this.#invalid
    const log = this.#log
    if (dialect === 'ndjson') return new NdjsonReader({ idField, invalid })
    if (dialect === 'csv') return new CsvReader({ idField, invalid })
    const options = { log, allowEdited }
    if (!state && dialect === 'airbyte') return new AirbyteReader(options, catalog)
    if (!state) return new SingerReader({ log, invalid, replaces })
    const held = admit(state, standing)
    return dialect === 'airbyte' ? new AirbyteOwnReader(state, held, options) : new OwnReader(state, held, options)
  }
}
