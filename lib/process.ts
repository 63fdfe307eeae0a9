// The runner `process`: bizon-extract as a child on a pipe, so that two cores are at work. The protocol is that of any
// pipe; what is added is that whatever becomes of the child arrives as one message.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ConfigOf } from './config.ts'
import { BizonError, messageOf } from './errors.ts'
import { type OpenSource, type ReadOptions, SourceEnd } from './extract.ts'
import type { Log } from './log.ts'
import { silentLog } from './log.ts'
import { FromPipe } from './pipe/from.ts'
import type { RawJson } from './record.ts'
import type { RunReport, SourceFacts } from './report.ts'
import type { Page, Position, Start } from './source.ts'

export interface ChildOptions {
  /** Options of bizon-extract after the file. */
  readonly args?: readonly string[]
  readonly signal?: AbortSignal
  /** Whether it reports on itself. Default false. */
  readonly report?: boolean
}

/** The source of a pipeline file, read by a child process. Needs a config that came from a file. */
export class ChildExtract extends SourceEnd {
  readonly #config: ConfigOf<'source'> & ConfigOf<'destination'>
  readonly #options: ChildOptions

  constructor(config: ConfigOf<'source'> & ConfigOf<'destination'>, options: ChildOptions = {}) {
    super()
    this.#config = config
    this.#options = options
  }

  async open(log: Log = silentLog): Promise<OpenSource> {
    const { path } = this.#config
    const { args = [], signal, report = false } = this.#options
    const program = join(
      dirname(createRequire(import.meta.url).resolve('bizon/package.json')),
      'dist/bin/bizon-extract.js',
    )
    const own = report ? await ChildReport.create() : undefined
    const all = ['--quiet', '--log-format', 'json', '--ack', '-', ...(own ? ['--report', own.path] : []), ...args]
    const command = [...process.execArgv, program, path, ...all]
    const child = new Child(spawn(process.execPath, command, { stdio: 'pipe' }), log)
    try {
      const acknowledged = (value: RawJson): void => child.acknowledge(value.toString())
      const pipe = await new FromPipe(child.output, this.#config, { acknowledged, ...(signal && { signal }) }).open(log)
      return new OpenChild(pipe, child, own)
    } catch (error) {
      const explained = await child.explain(error)
      await own?.take()
      throw explained
    }
  }
}

/** What the child writes of itself at its end, in a folder of its own. */
class ChildReport {
  readonly path: string
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
    this.path = join(folder, 'report.json')
  }

  static async create(): Promise<ChildReport> {
    return new ChildReport(await mkdtemp(join(tmpdir(), 'bizon-')))
  }

  /** Undefined: it was killed, or has been taken. */
  async take(): Promise<RunReport | undefined> {
    try {
      return JSON.parse(await readFile(this.path, 'utf8')) as RunReport
    } catch {
      return undefined
    } finally {
      await rm(this.#folder, { recursive: true, force: true })
    }
  }
}

class OpenChild implements OpenSource {
  readonly config: OpenSource['config']
  readonly stream: OpenSource['stream']
  readonly begun: OpenSource['begun']
  readonly transformed: OpenSource['transformed']
  readonly #pipe: OpenSource
  readonly #child: Child
  readonly #ownReport: ChildReport | undefined
  #report: RunReport | undefined

  constructor(pipe: OpenSource, child: Child, report: ChildReport | undefined) {
    this.config = pipe.config
    this.stream = pipe.stream
    this.begun = pipe.begun
    this.transformed = pipe.transformed
    this.#pipe = pipe
    this.#child = child
    this.#ownReport = report
  }

  check(signal: AbortSignal): Promise<void> {
    return this.#pipe.check(signal)
  }

  count(signal: AbortSignal): Promise<number | undefined> {
    return this.#pipe.count(signal)
  }

  async *read(from: Start, options: ReadOptions): AsyncGenerator<Page, void, void> {
    const { failed, ...rest } = options
    try {
      yield* this.#pipe.read(from, rest)
    } catch (error) {
      if (options.signal.aborted) throw error
      const explained = await this.#child.explain(error)
      if (!failed) throw explained
      failed(explained)
    }
  }

  reads(path: string): boolean {
    return this.#pipe.reads(path)
  }

  acknowledge(position: Position): Promise<void> {
    return this.#pipe.acknowledge(position)
  }

  async close(): Promise<void> {
    await this.#pipe.close()
    await this.#child.end()
    this.#report ??= await this.#ownReport?.take()
  }

  facts(): SourceFacts {
    return { report: this.#report }
  }
}

/** How long the child may take to end by itself. */
const GRACE_MS = 5000
/** What is kept of what it says last. */
const KEPT_LINES = 20

/** The child, what it says, and how it ended. */
class Child {
  readonly output: AsyncIterable<Buffer>
  readonly #process: ChildProcess
  readonly #ended: Promise<string | undefined>
  readonly #said: string[] = []

  constructor(child: ChildProcess, log: Log) {
    this.#process = child
    child.stdin?.on('error', () => {}) // it reads no more: how it ended says why
    this.output = child.stdout as AsyncIterable<Buffer>
    const lines = createInterface({ input: child.stderr as NodeJS.ReadableStream })
    lines.on('line', (line) => this.#hear(line, log))
    const heard = new Promise<void>((done) => lines.once('close', done))
    this.#ended = new Promise((done) => {
      child.once('error', (error) => done(`it could not be started: ${messageOf(error)}`))
      child.once('close', (code, signal) => void heard.then(() => done(howItEnded(code, signal))))
    })
  }

  /** The child's own words for a failure that the pipe only sees as its end. */
  async explain(error: unknown): Promise<unknown> {
    if (!(error instanceof BizonError) || error.code !== 'incomplete') return error
    const how = await this.#ended
    if (how === undefined) return error
    const errors = this.#said.filter((line) => line.startsWith('Error: ')).map((line) => line.slice(7))
    const hint = this.#said.findLast((line) => line.startsWith('Try: '))?.slice(5)
    const what =
      errors.length > 0 ? errors.join('\n') : [`the process that reads the source ${how}`, ...this.#said].join('\n')
    return new BizonError('source', what, { hint, cause: error })
  }

  /** Tells it a STATE value that is durable. One may be left out, since the next one says the same and more. */
  acknowledge(line: string): void {
    const { stdin } = this.#process
    if (stdin?.writable && !stdin.writableNeedDrain) stdin.write(`${line}\n`)
  }

  /** Ends it, if it has not ended yet. */
  async end(): Promise<void> {
    this.#process.stdin?.end()
    const { exitCode, signalCode } = this.#process
    if (exitCode === null && signalCode === null) this.#process.kill('SIGTERM')
    // What is not read would keep it from being known as closed.
    this.#process.stdout?.destroy()
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), GRACE_MS)
    await this.#ended
    clearTimeout(timer)
  }

  #hear(line: string, log: Log): void {
    const entry = logged(line)
    if (entry) {
      const { level, message } = entry
      const say = { TRACE: log.trace, DEBUG: log.debug, INFO: log.info, WARNING: log.warn }[level] ?? log.error
      say(message)
      return
    }
    if (line.trim() === '') return
    this.#said.push(line)
    if (this.#said.length > KEPT_LINES) this.#said.shift()
  }
}

function logged(line: string): { level: string; message: string } | undefined {
  if (!line.startsWith('{"time":')) return undefined
  try {
    const { level, message } = JSON.parse(line) as Record<string, unknown>
    return typeof level === 'string' && typeof message === 'string' ? { level, message } : undefined
  } catch {
    return undefined
  }
}

/** Undefined: as it should. */
function howItEnded(code: number | null, signal: NodeJS.Signals | null): string | undefined {
  if (signal !== null)
    return `was killed by ${signal}${signal === 'SIGKILL' ? '; perhaps there was too little memory' : ''}`
  return code === 0 ? undefined : `ended with exit code ${code}`
}
