// The second half of a pipeline, from a pipe: what another program has read stands where a source stands else.
//
//   standard input ──lines──▶ pages ──▶ transform* ──▶ checkpoint ──▶ queue ──▶ destination ──▶ STATE values printed
//
// The first lines say which dialect is spoken. A producer of ours begins with a STATE that says which run the pipe is
// of and where it begins; the destination is asked where it stands, and what it holds already is passed over.

import * as z from 'zod'
import type { ConfigOf } from '../config.ts'
import { BizonError } from '../errors.ts'
import { type OpenSource, type ReadOptions, SourceEnd } from '../extract.ts'
import { type Log, silentLog } from '../log.ts'
import { defineSource, type Page, type Position, type Start, type StreamInfo } from '../source.ts'
import { orAborted } from '../wait.ts'
import { AirbyteOwnReader } from './airbyte/own.ts'
import { AirbyteReader, type Catalog } from './airbyte/read.ts'
import { beginningOf, type Dialect, dialectOf, foreign, type PipeDialect } from './dialect.ts'
import { Echoes, type Tell } from './echo.ts'
import { type Lines, wholeLines } from './lines.ts'
import { NdjsonReader } from './ndjson.ts'
import { admit, OwnReader } from './own.ts'
import { eachLine, type PipePage, type PipeReader } from './read.ts'
import type { PipeState } from './state.ts'
import { SingerReader } from './tap.ts'

export interface FromPipeOptions {
  /** Default auto. */
  readonly from?: PipeDialect
  /** Records that a program between has dropped are no error; the order and the end are checked all the same. */
  readonly allowEdited?: boolean
  /** Of bare records, the field that is their id. Default: the number of the line. */
  readonly idField?: string | undefined
  /** Of bare records, the name of the stream. Default records. */
  readonly stream?: string | undefined
  /** Of Airbyte: which streams are to be loaded, and whether they replace what is there. Others are passed over. */
  readonly catalog?: Catalog
  /** Seconds of silence after which it fails. Default: it waits. */
  readonly stallSeconds?: number
  readonly signal?: AbortSignal
  /**
   * Told the STATE value behind the last page that is durable, as it came; of Airbyte, each STATE message, in order.
   */
  readonly acknowledged?: Tell
}

/** The first stage of a pipeline whose records another program reads. `config`: that of the destination. */
export class FromPipe extends SourceEnd {
  readonly #chunks: AsyncIterable<Uint8Array>
  readonly #config: ConfigOf<'destination'>
  readonly #options: FromPipeOptions
  #opened: OpenPipe | undefined

  constructor(chunks: AsyncIterable<Uint8Array>, config: ConfigOf<'destination'>, options: FromPipeOptions = {}) {
    super()
    this.#chunks = chunks
    this.#config = config
    this.#options = options
  }

  /** Waits for the first line. */
  async open(log: Log = silentLog): Promise<OpenSource> {
    const { from = 'auto', signal = never, stallSeconds = Infinity } = this.#options
    const ended = new AbortController()
    const either = AbortSignal.any([signal, ended.signal])
    const blocks = wholeLines(this.#chunks, either, { stallSeconds })
    const first: Lines[] = []
    const own = await this.#begin(blocks, first)
    let said = own?.dialect
    for (let looked = 0; said === undefined && from === 'auto' && looked < MOST_BLOCKS; looked++) {
      const block = first[looked] ?? (await blocks.next()).value
      if (!block) break
      if (looked === first.length) first.push(block)
      said = dialectOf(block)
    }
    const dialect = said ?? (from === 'auto' ? 'ndjson' : from)
    const pipe = { blocks, first, end: () => ended.abort() }
    this.#opened = new OpenPipe(pipe, this.#config, { ...this.#options, log, dialect, state: own?.state })
    return this.#opened
  }

  /** Reads the first line, and what it says if a producer of ours wrote it. */
  async #begin(blocks: Pipe['blocks'], first: Lines[]): Promise<ReturnType<typeof beginningOf>> {
    const { from = 'auto', catalog } = this.#options
    const { value: block } = await blocks.next()
    if (block) first.push(block)
    if (from === 'ndjson') return undefined
    if (!block) throw nothingCame()
    return catalog ? undefined : beginningOf(block)
  }

  /** Once all is loaded: tells the STATE value behind the last page, for which there is no position. */
  async settled(): Promise<void> {
    await this.#opened?.echoes.all()
  }
}

const never = new AbortController().signal
const LF = 0x0a
/** So many are looked at for a first message. */
const MOST_BLOCKS = 100

interface Pipe {
  readonly blocks: AsyncGenerator<Lines, void, void>
  readonly first: readonly Lines[]
  end(): void
}

interface OpenPipeOptions extends FromPipeOptions {
  readonly log: Log
  readonly dialect: Dialect
  /** What the first line of a producer of ours says. */
  readonly state: PipeState | undefined
}

class OpenPipe implements OpenSource {
  readonly config: ConfigOf<'source'>
  readonly stream: StreamInfo
  readonly begun: OpenSource['begun']
  readonly #pipe: Pipe
  readonly #options: OpenPipeOptions
  readonly echoes: Echoes

  constructor(pipe: Pipe, config: ConfigOf<'destination'>, options: OpenPipeOptions) {
    const { dialect, state, stream, catalog } = options
    const begin = state?.begin ?? foreign(dialect, stream, catalog?.replaces)
    this.#pipe = pipe
    this.#options = options
    this.echoes = new Echoes((value) => options.acknowledged?.(value), { each: dialect === 'airbyte' })
    this.begun = state && { id: state.run, at: state.at }
    this.stream = { name: begin.stream, incremental: true, resumable: begin.resumable }
    this.config = {
      ...config,
      source: {
        name: begin.source,
        stream: begin.stream,
        mode: begin.mode,
        forceIgnoreCheckpoint: begin.startOver,
        reset: begin.reset,
        definition: piped,
        options: { hash: begin.hash },
      },
      transforms: [],
      secrets: [],
      referenced: new Map(),
    }
  }

  async check(): Promise<void> {}

  async count(): Promise<undefined> {
    return undefined
  }

  reads(): boolean {
    return false
  }

  async acknowledge(position: Position): Promise<void> {
    // What is to replace starts over after a failure: a source that goes on behind a STATE would leave out what was there.
    if (!this.#options.catalog?.replaces) await this.echoes.durable(position)
  }

  async close(): Promise<void> {
    this.#pipe.end()
    await this.#pipe.blocks.return()
  }

  async *read(_from: Start, { signal, stop, standing, failed }: ReadOptions): AsyncGenerator<Page, void, void> {
    try {
      yield* this.#pages(stop ? AbortSignal.any([signal, stop]) : signal, standing)
    } catch (error) {
      if (!failed || signal.aborted) throw error
      failed(error)
    }
  }

  async *#pages(halted: AbortSignal, standing: ReadOptions['standing']): AsyncGenerator<Page, void, void> {
    const reader = this.#reader(standing)
    let number = 1
    // The first line of ours was read to find out what the others mean.
    let skipped = this.#options.state === undefined
    const seen = [...this.#pipe.first]
    for (;;) {
      let block = seen.shift() ?? (await this.#next(halted))
      if (block === undefined) break
      if (this.#options.state) block = withoutTorn(block)
      let broken: { readonly error: unknown } | undefined
      try {
        number = eachLine(block, number, (start, end, line) => {
          if (skipped) reader.line((block as Lines).buffer, start, end, line)
          skipped = true
        })
      } catch (error) {
        broken = { error } // the pages before it are whole
      }
      const extractedAt = new Date()
      yield* this.#give(reader.take(), extractedAt)
      if (broken) throw broken.error
      if (halted.aborted) return
    }
    if (!halted.aborted) yield* this.#give(reader.finish(), new Date())
  }

  *#give(pages: readonly PipePage[], extractedAt: Date): Generator<Page, void, void> {
    for (const { page, value } of pages) {
      if (value) this.echoes.add(value, page.next)
      yield { ...page, extractedAt }
    }
  }

  async #next(halted: AbortSignal): Promise<Lines | undefined> {
    const next = await orAborted(this.#pipe.blocks.next(), halted)
    return next === undefined || next.done ? undefined : next.value
  }

  #reader(standing: ReadOptions['standing']): PipeReader {
    const { log, allowEdited = false, dialect, idField, state, catalog } = this.#options
    const options = { log, allowEdited }
    if (dialect === 'ndjson') return new NdjsonReader(idField)
    if (!state) return dialect === 'airbyte' ? new AirbyteReader(options, catalog) : new SingerReader(options)
    const held = admit(state, standing)
    return dialect === 'airbyte' ? new AirbyteOwnReader(state, held, options) : new OwnReader(state, held, options)
  }
}

/** Only a pipe that was cut off ends within a line, and that it was cut off is found out at its end. */
function withoutTorn({ buffer, start, end }: Lines): Lines {
  return { buffer, start, end: buffer[end - 1] === LF ? end : buffer.lastIndexOf(LF, end - 1) + 1 }
}

/** Whether it was cut off before its first word, nobody knows. */
function nothingCame(): BizonError {
  return new BizonError('incomplete', 'nothing came through the pipe: the program before it wrote nothing', {
    hint: 'Look at its errors. Where no records are no error, say --from ndjson.',
  })
}

const piped = defineSource({
  summary: 'What comes through a pipe.',
  config: z.object({ hash: z.string() }),
  streams: (): readonly StreamInfo[] => [{ name: '*', incremental: true, resumable: true }],
  create: () => {
    throw new TypeError('a pipe is not created from a config')
  },
})
