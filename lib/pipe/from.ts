// The second half of a pipeline, from a pipe: what another program has read stands where a source stands else.
//
//   standard input ──lines──▶ pages ──▶ transform* ──▶ checkpoint ──▶ queue ──▶ destination ──▶ STATE values printed
//
// The first line says which dialect is spoken. A producer of ours begins with a STATE that says which run the pipe is
// of and where it begins; the destination is asked where it stands, and what it holds already is passed over.

import * as z from 'zod'
import type { ConfigOf } from '../config.ts'
import { type OpenSource, type ReadOptions, SourceEnd } from '../extract.ts'
import { type Log, silentLog } from '../log.ts'
import type { RawJson } from '../record.ts'
import { defineSource, type Page, type Position, type Start, type StreamInfo } from '../source.ts'
import { orAborted } from '../wait.ts'
import { admit } from './admit.ts'
import { CsvReader } from './csv.ts'
import { beginningOf, type Dialect, dialectOf, isVersioned, nothingCame, readHead, withoutTorn } from './head.ts'
import { InvalidLines, type InvalidPolicy } from './invalid.ts'
import { type Lines, wholeLines } from './lines.ts'
import { NdjsonReader } from './ndjson.ts'
import { OwnReader } from './own.ts'
import { eachLine, type PipePage, type PipeReader } from './read.ts'
import type { Beginning, PipeState } from './state.ts'
import { SingerReader } from './tap.ts'

/** What may come through a pipe. `auto`: its first line says, unless it is CSV. */
export const PIPE_DIALECTS = ['auto', 'singer', 'ndjson', 'csv'] as const
export type PipeDialect = (typeof PIPE_DIALECTS)[number]

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
  /** Seconds of silence after which it fails. Default: it waits. */
  readonly stallSeconds?: number
  readonly signal?: AbortSignal
  /** Told the STATE value behind the last page that is durable, as it came. */
  readonly acknowledged?: (value: RawJson) => void | Promise<void>
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
    const { from = 'auto', signal = never, stallSeconds = Infinity, stream } = this.#options
    const ended = new AbortController()
    const either = AbortSignal.any([signal, ended.signal])
    const blocks = wholeLines(this.#chunks, either, { stallSeconds })
    const head = await readHead(blocks)
    if (!head.line && from !== 'ndjson') throw nothingCame()
    const state = head.line && from !== 'ndjson' && from !== 'csv' ? beginningOf(head.line) : undefined
    const dialect = state
      ? 'bizon'
      : from === 'auto' && head.line
        ? dialectOf(head.line)
        : from === 'auto'
          ? 'ndjson'
          : from
    const replaces = dialect === 'singer' && (await isVersioned(head, blocks))
    const pipe = { blocks, read: head.blocks, end: () => ended.abort() }
    this.#opened = new OpenPipe(pipe, this.#config, { ...this.#options, log, dialect, state, stream, replaces })
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
  /** The STATE value behind each position that may be acknowledged. */
  readonly #values = new WeakMap<Position, RawJson>()
  readonly #invalid: InvalidLines
  #last: RawJson | undefined
  #told: RawJson | undefined
  #wasRead = false

  constructor(pipe: Pipe, config: ConfigOf<'destination'>, options: OpenPipeOptions) {
    const { dialect, state, stream, replaces, log, onInvalid, deadLetter } = options
    const begin = state?.begin ?? foreign(dialect, { stream, replaces })
    this.#invalid = new InvalidLines({ policy: state ? 'fail' : onInvalid, deadLetter, log })
    this.#pipe = pipe
    this.#options = options
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
    await this.#tell(this.#values.get(position))
  }

  async settled(): Promise<void> {
    if (this.#wasRead || this.#options.state) return this.#tell(this.#last)
    this.#options.log.warn(
      'an earlier load was complete and only had to be published; nothing of this pipe was loaded: run the same line again for it',
    )
  }

  async #tell(value: RawJson | undefined): Promise<void> {
    if (!value || value === this.#told) return
    this.#told = value
    await this.#options.acknowledged?.(value)
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
      if (value && page.next) this.#values.set(page.next, value)
      if (value) this.#last = value
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
    const { log, allowEdited = false, dialect, idField, state, replaces } = this.#options
    const invalid = this.#invalid
    if (dialect === 'ndjson') return new NdjsonReader({ idField, invalid })
    if (dialect === 'csv') return new CsvReader({ idField, invalid })
    if (!state) return new SingerReader({ log, invalid, replaces })
    return new OwnReader(state, admit(state, standing), { log, allowEdited })
  }
}

/**
 * Of a program that says nothing of its run: what comes is added to what is there, or takes its place, and then half of it
 * is of no use.
 */
function foreign(
  dialect: Dialect,
  { stream = 'records', replaces }: { stream: string | undefined; replaces: boolean },
): Beginning {
  return {
    pipeline: '',
    source: dialect,
    stream: dialect === 'singer' ? 'tap' : stream,
    mode: replaces ? 'full_refresh' : 'incremental',
    resumable: !replaces,
    reset: false,
    startOver: false,
    hash: '',
    transforms: '',
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
