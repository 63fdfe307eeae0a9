// The second half of a pipeline, from a pipe: what another program has read stands where a source stands else.
//
//   standard input ──lines──▶ pages ──▶ transform* ──▶ checkpoint ──▶ queue ──▶ destination ──▶ STATE values printed
//
// The first lines say which dialect is spoken. A producer of ours begins with a STATE that says which run the pipe is
// of and where it begins; the destination is asked where it stands, and what it holds already is passed over.

import * as z from 'zod'
import { type ConfigInput, type ConfigOf, loadConfig } from '../config.ts'
import { type OpenSource, type ReadOptions, SourceEnd } from '../extract.ts'
import { type Log, silentLog } from '../log.ts'
import { defineSource, type Page, type Position, type Start, type StreamInfo } from '../source.ts'
import { foreign } from './dialect.ts'
import { Echoes, type Tell } from './echo.ts'
import { openPages, type PipeOptions, type PipePages } from './pages.ts'

export interface FromPipeOptions extends PipeOptions {
  /** Told the STATE value behind the last page that is durable, as it came; of Airbyte, each STATE message, in order. */
  readonly acknowledged?: Tell
}

/** The first stage of a pipeline whose records another program reads. `config`: that of the destination. */
export class FromPipe extends SourceEnd {
  readonly #chunks: AsyncIterable<Uint8Array>
  readonly #config: ConfigInput
  readonly #options: FromPipeOptions
  #opened: OpenPipe | undefined

  constructor(chunks: AsyncIterable<Uint8Array>, config: ConfigInput, options: FromPipeOptions = {}) {
    super()
    this.#chunks = chunks
    this.#config = config
    this.#options = options
  }

  /** Waits for the first line. */
  async open(log: Log = silentLog): Promise<OpenSource> {
    const config = await loadConfig(this.#config, ['destination'])
    const pages = await openPages(this.#chunks, log, this.#options)
    this.#opened = new OpenPipe(pages, config, { ...this.#options, log })
    return this.#opened
  }

  /** Whether each STATE counts that is told, and not the newest alone. Known once it is open. */
  get tellsEach(): boolean {
    return this.#opened?.tellsEach ?? false
  }

  /** Whether the pipe is a stream, which has no end to be published. Known once it is open. */
  get endless(): boolean {
    return this.#opened?.config.source.mode === 'stream'
  }

  /** Once all is loaded: tells the STATE value behind the last page, for which there is no position. */
  async settled(): Promise<void> {
    await this.#opened?.settled()
  }
}

interface OpenPipeOptions extends FromPipeOptions {
  readonly log: Log
}

class OpenPipe implements OpenSource {
  readonly config: ConfigOf<'source'>
  readonly stream: StreamInfo
  readonly begun: OpenSource['begun']
  readonly transformed: string | undefined
  readonly tellsEach: boolean
  readonly #pages: PipePages
  readonly #log: Log
  readonly #echoes: Echoes
  #wasRead = false

  constructor(pages: PipePages, config: ConfigOf<'destination'>, options: OpenPipeOptions) {
    const { dialect, state, replaces } = pages
    const begin = state?.begin ?? foreign(dialect, options.stream, replaces)
    this.#pages = pages
    this.#log = options.log
    this.tellsEach = dialect === 'airbyte'
    this.#echoes = new Echoes((value) => options.acknowledged?.(value), { each: this.tellsEach })
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
    if (!this.#pages.replaces) await this.#echoes.durable(position)
  }

  async settled(): Promise<void> {
    if (this.#wasRead || this.#pages.state) return this.#echoes.all()
    this.#log.warn(
      'an earlier load was complete and only had to be published; nothing of this pipe was loaded: run the same line again for it',
    )
  }

  async close(): Promise<void> {
    await this.#pages.close()
  }

  async *read(_from: Start, { signal, stop, standing, failed }: ReadOptions): AsyncGenerator<Page, void, void> {
    const halted = stop ? AbortSignal.any([signal, stop]) : signal
    this.#wasRead = true
    try {
      for await (const { page, value } of this.#pages.read(standing, halted)) {
        if (value) this.#echoes.add(value, page.next)
        yield page
      }
    } catch (error) {
      if (halted.aborted && !signal.aborted) return
      if (!failed || signal.aborted) throw error
      failed(error)
    }
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
