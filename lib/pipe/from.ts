// The second half of a pipeline, from a pipe: what another program has read stands where a source stands else.
//
//   standard input ──lines──▶ pages ──▶ transform* ──▶ checkpoint ──▶ queue ──▶ destination ──▶ STATE values printed
//
// The first lines say which dialect is spoken. A producer of ours begins with a STATE that says which run the pipe is
// of and where it begins; the destination is asked where it stands, and what it holds already is passed over.

import * as z from 'zod'
import type { ConfigOf } from '../config.ts'
import { type OpenSource, type ReadOptions, SourceEnd } from '../extract.ts'
import { type Log, silentLog } from '../log.ts'
import { defineSource, type Page, type Position, type Start, type StreamInfo } from '../source.ts'
import { orAborted } from '../wait.ts'
import { admit } from './admit.ts'
import { AirbyteOwnReader } from './airbyte/own.ts'
import { AirbyteReader, type Catalog } from './airbyte/read.ts'
import { CsvReader } from './csv.ts'
import { beginningOf, type Dialect, foreign, type PipeDialect } from './dialect.ts'
import { Echoes, type Tell } from './echo.ts'
import { dialectIn, isVersioned, nothingCame, readHead, withoutTorn } from './head.ts'
import { InvalidLines, type InvalidPolicy } from './invalid.ts'
import { type Lines, wholeLines } from './lines.ts'
import { NdjsonReader } from './ndjson.ts'
import { OwnReader } from './own.ts'
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
  /** What becomes of lines that are no records, of a producer that is not ours. Default fail. */
  readonly onInvalid?: InvalidPolicy | undefined
  /** With `dead_letter`: the file for them. */
  readonly deadLetter?: string | undefined
  /** Of Airbyte: which streams are to be loaded, and whether they replace what is there. Others are passed over. */
  readonly catalog?: Catalog
  /** Seconds of silence after which it fails. Default: it waits. */
  readonly stallSeconds?: number
  readonly signal?: AbortSignal
  /** Told the STATE value behind the last page that is durable, as it came; of Airbyte, each STATE message, in order. */
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
    const { from = 'auto', signal = never, stallSeconds = Infinity, catalog } = this.#options
    const ended = new AbortController()
    const either = AbortSignal.any([signal, ended.signal])
    const blocks = wholeLines(this.#chunks, either, { stallSeconds })
    const head = await readHead(blocks)
    if (!head.line && from !== 'ndjson') throw nothingCame()
    const mayBeOurs = head.line && !catalog && from !== 'ndjson' && from !== 'csv'
    const own = mayBeOurs ? beginningOf(head.line) : undefined
    const dialect = own?.dialect ?? (from === 'auto' ? await dialectIn(head, blocks) : from)
    const replaces = catalog?.replaces ?? (!own && dialect === 'singer' && (await isVersioned(head, blocks)))
    const pipe = { blocks, read: head.blocks, end: () => ended.abort() }
    this.#opened = new OpenPipe(pipe, this.#config, { ...this.#options, log, dialect, state: own?.state, replaces })
    return this.#opened
  }

  /** Once all is loaded: tells the STATE value behind the last page, for which there is no position. */
  async settled(): Promise<void> {
    await this.#opened?.settled()
  }
}

const never = new AbortController().signal
const LF = 0x0a

interface Pipe {
  readonly blocks: AsyncGenerator<Lines, void, void>
  /** What was read of them already. */
  readonly read: Lines[]
  end(): void
}

interface OpenPipeOptions extends FromPipeOptions {
  readonly log: Log
  readonly dialect: Dialect
  /** What the first line of a producer of ours says. */
  readonly state: PipeState | undefined
  /** What comes takes the place of what was there. */
  readonly replaces: boolean
}

class OpenPipe implements OpenSource {
  readonly config: ConfigOf<'source'>
  readonly stream: StreamInfo
  readonly begun: OpenSource['begun']
  readonly transformed: string | undefined
  readonly #pipe: Pipe
  readonly #options: OpenPipeOptions
  readonly #echoes: Echoes
  readonly #invalid: InvalidLines
  #wasRead = false

  constructor(pipe: Pipe, config: ConfigOf<'destination'>, options: OpenPipeOptions) {
    const { dialect, state, stream, replaces, log, onInvalid, deadLetter } = options
    const begin = state?.begin ?? foreign(dialect, stream, replaces)
    this.#invalid = new InvalidLines({ policy: state ? 'fail' : onInvalid, deadLetter, log })
    this.#pipe = pipe
    this.#options = options
    this.#echoes = new Echoes((value) => options.acknowledged?.(value), { each: dialect === 'airbyte' })
    this.transformed = begin.transforms || undefined
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
        hash: begin.hash,
        options: {},
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
    if (!this.#options.replaces) await this.#echoes.durable(position)
  }

  async settled(): Promise<void> {
    if (this.#wasRead || this.#options.state) return this.#echoes.all()
    this.#options.log.warn(
      'an earlier load was complete and only had to be published; nothing of this pipe was loaded: run the same line again for it',
    )
  }

  async close(): Promise<void> {
    this.#pipe.end()
    await this.#pipe.blocks.return()
  }

  async *read(_from: Start, { signal, stop, standing, failed }: ReadOptions): AsyncGenerator<Page, void, void> {
    const halted = stop ? AbortSignal.any([signal, stop]) : signal
    this.#wasRead = true
    try {
      yield* this.#pages(this.#reader(standing), halted)
    } catch (error) {
      if (halted.aborted && !signal.aborted) return
      if (!failed || signal.aborted) throw error
      failed(error)
    }
  }

  async *#pages(reader: PipeReader, halted: AbortSignal): AsyncGenerator<Page, void, void> {
    let number = 1
    // The first line of ours was read to find out what the others mean.
    let skipped = this.#options.state === undefined
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
      if (this.#options.state) block = withoutTorn(block)
      else if (block.buffer[block.end - 1] !== LF) this.#invalid.endsTorn(block.buffer, block.end)
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
    if (!halted.aborted) yield* this.#give(reader.finish())
  }

  async *#give(pages: readonly PipePage[]): AsyncGenerator<Page, void, void> {
    await this.#invalid.settle()
    const extractedAt = new Date()
    for (const { page, value } of pages) {
      if (value) this.#echoes.add(value, page.next)
      yield { ...page, extractedAt }
    }
  }

  async #next(halted: AbortSignal): Promise<Lines | undefined> {
    const read = this.#pipe.read.shift()
    if (read) return halted.aborted ? undefined : read
    const next = await orAborted(this.#pipe.blocks.next(), halted)
    return next === undefined || next.done ? undefined : next.value
  }

  #reader(standing: ReadOptions['standing']): PipeReader {
    const { log, allowEdited = false, dialect, idField, state, replaces, catalog } = this.#options
    const invalid = this.#invalid
    if (dialect === 'ndjson') return new NdjsonReader({ idField, invalid })
    if (dialect === 'csv') return new CsvReader({ idField, invalid })
    const options = { log, allowEdited }
    if (!state && dialect === 'airbyte') return new AirbyteReader(options, catalog)
    if (!state) return new SingerReader({ log, invalid, replaces })
    const held = admit(state, standing)
    return dialect === 'airbyte' ? new AirbyteOwnReader(state, held, options) : new OwnReader(state, held, options)
  }
}

const piped = defineSource({
  summary: 'What comes through a pipe.',
  config: z.object({}),
  streams: (): readonly StreamInfo[] => [{ name: '*', incremental: true, resumable: true }],
  create: () => {
    throw new TypeError('a pipe is not created from a config')
  },
})
