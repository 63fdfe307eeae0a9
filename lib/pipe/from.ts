// The second half of a pipeline, from a pipe: what another program has read stands where a source stands else.
//
//   standard input ──lines──▶ pages ──▶ transform* ──▶ checkpoint ──▶ queue ──▶ destination ──▶ STATE values printed
//
// The first lines say which dialect is spoken. A producer of ours begins with a STATE that says which run the pipe is
// of and where it begins; the destination is asked where it stands, and what it holds already is passed over.

import * as z from 'zod'
import type { Checkpoint } from '../checkpoint.ts'
import { type ConfigInput, type ConfigOf, loadConfig } from '../config.ts'
import { BizonError, Damaged } from '../errors.ts'
import { type OpenSource, type ReadOptions, SourceEnd } from '../extract.ts'
import { type Log, silentLog } from '../log.ts'
import { RawJson } from '../record.ts'
import { defineSource, type Page, type Position, type Start, type StreamInfo } from '../source.ts'
import { type Dialect, foreign } from './dialect.ts'
import { Echoes, type Tell, toldIn } from './echo.ts'
import { openPages, type PipeOptions, type PipePages } from './pages.ts'

export interface FromPipeOptions extends PipeOptions {
  /** Its run waits in a queue, which gives the same pages as often as need be: it alone is gone on with, and always can be. */
  readonly isQueued?: boolean
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
    // What a queue holds is ours: records of somebody else would become a run of nobody.
    if (this.#options.isQueued && !pages.state) {
      throw new Damaged('source', 'the first line of the pipe is not the STATE of a run', {
        hint: 'Something else writes to this queue. See docs/pipe-format.md.',
      })
    }
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
}

interface OpenPipeOptions extends FromPipeOptions {
  readonly log: Log
}

class OpenPipe implements OpenSource {
  readonly config: ConfigOf<'source'>
  readonly stream: StreamInfo
  readonly begun: OpenSource['begun']
  readonly foreign: OpenSource['foreign']
  readonly transformed: string | undefined
  readonly tellsEach: boolean
  readonly #pages: PipePages
  readonly #log: Log
  readonly #tell: Tell
  readonly #echoes: Echoes
  #wasRead = false

  constructor(pages: PipePages, config: ConfigOf<'destination'>, options: OpenPipeOptions) {
    const { dialect, state, replaces } = pages
    const begin = state?.begin ?? foreign(dialect, options.stream, replaces)
    this.#pages = pages
    this.#log = options.log
    this.tellsEach = dialect === 'airbyte'
    this.#tell = (value) => options.acknowledged?.(value)
    this.#echoes = new Echoes(this.#tell, { each: this.tellsEach })
    this.transformed = begin.transforms || undefined
    this.foreign = state ? undefined : TELLS[dialect]
    this.begun = state && { id: state.run, at: state.at, page: state.page, isQueued: options.isQueued }
    this.stream = { name: begin.stream, incremental: true, resumable: begin.resumable || (options.isQueued ?? false) }
    this.config = {
      ...config,
      source: {
        name: begin.source,
        stream: begin.stream,
        ...('partition' in begin && begin.partition && { partition: begin.partition }),
        mode: begin.mode,
        forceIgnoreCheckpoint: begin.startOver || (options.startOver ?? false),
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

  /** There may have been no more to do than that: then what the end says was not told by the process that read it. */
  async published(run: string, end: Checkpoint): Promise<void> {
    if (this.#wasRead) return this.#echoes.all()
    const { state } = this.#pages
    if (!state) {
      for (const value of toldIn(end)) await this.#tell(RawJson.from(value))
      this.#log.warn(ONLY_PUBLISHED)
      return
    }
    if (state.run !== run) {
      throw new BizonError('source', `${ONLY_PUBLISHED} (that was run ${run}, and the pipe is of run ${state.run})`, {
        hint: 'Run the same line again.',
      })
    }
    await this.#pages.passOver()
    await this.#tell(RawJson.from(this.#pages.spellEnd(state, end)))
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

const ONLY_PUBLISHED =
  'an earlier load was at its end and only had to be published, which is done; nothing of this pipe was loaded'

/** What a program that is not ours goes on by. */
const TELLS = { singer: 'tells', airbyte: 'tells', ndjson: 'silent', csv: 'silent' } as const satisfies {
  [Name in Dialect]: OpenSource['foreign']
}

const piped = defineSource({
  summary: 'What comes through a pipe.',
  config: z.object({}),
  streams: (): readonly StreamInfo[] => [{ name: '*', incremental: true, resumable: true }],
  create: () => {
    throw new TypeError('a pipe is not created from a config')
  },
})
