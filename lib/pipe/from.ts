// The second half of a pipeline, from a pipe: what another program has read stands where a source stands else.
//
//   standard input ──lines──▶ pages ──▶ transform* ──▶ checkpoint ──▶ queue ──▶ destination ──▶ STATE values printed
//
// The first line says which dialect is spoken. A producer of ours begins with a STATE that says which run the pipe is
// of and where it begins; the destination is asked where it stands, and what it holds already is passed over.

import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import type { ConfigOf } from '../config.ts'
import { BizonError } from '../errors.ts'
import { type OpenSource, type ReadOptions, SourceEnd } from '../extract.ts'
import { type Log, silentLog } from '../log.ts'
import type { RawJson } from '../record.ts'
import { defineSource, type Page, type Position, type Start, type StreamInfo } from '../source.ts'
import { orAborted } from '../wait.ts'
import { type Lines, wholeLines } from './lines.ts'
import { readMessage } from './messages.ts'
import { NdjsonReader } from './ndjson.ts'
import { type Held, OwnReader } from './own.ts'
import { eachLine, type PipePage, type PipeReader } from './read.ts'
import { type Beginning, type PipeState, plain, readState } from './state.ts'
import { SingerReader } from './tap.ts'

/** What may come through a pipe. `auto`: its first line says. */
export const PIPE_DIALECTS = ['auto', 'singer', 'ndjson'] as const
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
    const first = await blocks.next()
    const head = first.done ? undefined : headOf(first.value)
    if (!head && from !== 'ndjson') throw nothingCame()
    const state = head && from !== 'ndjson' ? beginningOf(head) : undefined
    const dialect = state ? 'bizon' : from === 'auto' && head ? dialectOf(head) : from === 'auto' ? 'ndjson' : from
    const pipe = { blocks, first: first.done ? undefined : first.value, end: () => ended.abort() }
    this.#opened = new OpenPipe(pipe, this.#config, { ...this.#options, log, dialect, state, stream })
    return this.#opened
  }

  /** Once all is loaded: tells the STATE value behind the last page, for which there is no position. */
  async settled(): Promise<void> {
    const last = this.#opened?.last
    if (last) await this.#options.acknowledged?.(last)
  }
}

const never = new AbortController().signal
const LF = 0x0a

interface Pipe {
  readonly blocks: AsyncGenerator<Lines, void, void>
  readonly first: Lines | undefined
  end(): void
}

type Dialect = 'bizon' | 'singer' | 'ndjson'

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
  readonly transformed: string | undefined
  readonly #pipe: Pipe
  readonly #options: OpenPipeOptions
  /** The STATE value behind each position that may be acknowledged. */
  readonly #values = new WeakMap<Position, RawJson>()
  #last: RawJson | undefined

  constructor(pipe: Pipe, config: ConfigOf<'destination'>, options: OpenPipeOptions) {
    const { dialect, state, stream } = options
    const begin = state?.begin ?? foreign(dialect, stream)
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
    const value = this.#values.get(position)
    if (value) await this.#options.acknowledged?.(value)
  }

  /** The STATE value behind the last page. */
  get last(): RawJson | undefined {
    return this.#last
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
    for (let block = this.#pipe.first; block !== undefined; block = await this.#next(halted)) {
      if (this.#options.dialect === 'bizon') block = withoutTorn(block)
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
      if (value && page.next) this.#values.set(page.next, value)
      if (value) this.#last = value
      yield { ...page, extractedAt }
    }
  }

  async #next(halted: AbortSignal): Promise<Lines | undefined> {
    const next = await orAborted(this.#pipe.blocks.next(), halted)
    return next === undefined || next.done ? undefined : next.value
  }

  #reader(standing: ReadOptions['standing']): PipeReader {
    const { log, allowEdited = false, dialect, idField, state } = this.#options
    if (dialect === 'ndjson') return new NdjsonReader(idField)
    if (!state) return new SingerReader({ log, allowEdited })
    return new OwnReader(state, admit(state, standing), { log, allowEdited })
  }
}

/**
 * Whether the pipe may be loaded where the destination stands. Returns the page up to which the destination holds it
 * already.
 */
function admit(state: PipeState, standing: ReadOptions['standing']): Held {
  const { page, position } = standing?.from ?? { page: 0, position: null }
  const previous = standing?.previous
  if (state.previous !== previous) {
    const has = previous === undefined ? 'no published run' : `run ${previous} as its last one`
    const reads = state.previous === undefined ? 'from the beginning' : `what came after run ${state.previous}`
    throw refused(`the pipe holds ${reads}, and the destination has ${has}`)
  }
  if (state.page > 0 && state.run !== standing?.from.run) {
    throw refused(`the pipe goes on with run ${state.run}, and the destination with ${standing?.from.run}`)
  }
  if (state.page > page)
    throw refused(`the pipe begins behind page ${state.page}, and the destination holds ${page} pages`)
  if (state.page === page && !isDeepStrictEqual(plain(state.position), plain(position))) {
    throw refused(`the pipe begins behind page ${page} at another position than the destination holds`)
  }
  return { page, position }
}

function refused(why: string): BizonError {
  return new BizonError('source', `${why}; nothing was loaded`, {
    hint: 'Both programs must name the same pipeline and state store (or --state the last value that was printed): run the same line again.',
  })
}

function headOf({ buffer, start, end }: Lines): { buffer: Buffer; start: number; end: number } {
  const stop = buffer.indexOf(LF, start)
  return { buffer, start, end: stop < 0 || stop > end ? end : stop }
}

function beginningOf({ buffer, start, end }: { buffer: Buffer; start: number; end: number }): PipeState | undefined {
  const message = readMessage(buffer, start, end)
  const state = message.type === 'STATE' ? readState(message.value) : undefined
  return state?.begin ? state : undefined
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

/** An object whose `type` is one of Singer's is a message, any other one a record. */
function dialectOf(head: { buffer: Buffer; start: number; end: number }): Dialect {
  const { type } = readMessage(head.buffer, head.start, head.end)
  return type === 'SCHEMA' || type === 'RECORD' || type === 'STATE' ? 'singer' : 'ndjson'
}

/** Of a program that says nothing of its run: what comes is added to what is there. */
function foreign(dialect: Dialect, stream = 'records'): Beginning {
  return {
    pipeline: '',
    source: dialect,
    stream: dialect === 'ndjson' ? stream : 'tap',
    mode: 'incremental',
    resumable: true,
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
