// Python scripts: one python3 child for all of a pipeline's, which gets records and answers as JSON lines. It is
// told nothing of what this process knows: no environment but what a program needs, no files, only the records.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { BizonError, systemCode } from '../errors.ts'
import type { Log } from '../log.ts'
import { type SourceRecord, textOf } from '../record.ts'
import { Signpost, sleep } from '../wait.ts'
import type { TransformConfig } from './config.ts'
import { answered, isReady, settingsFor } from './python-answers.ts'
import { PYTHON_PROGRAM } from './python-program.ts'
import { oneLine, type Reject, type Script } from './script.ts'

/** So much may be on its way: what was sent and is not answered yet. */
const WINDOW_CHARACTERS = 256 * 1024
/** How much longer than its limit a script may take until the whole process is ended: it could not be interrupted. */
const GRACE_SECONDS = 5
/** How long the process may take to end by itself. */
const END_SECONDS = 2
const START_SECONDS = 30
const LOGGED_CHARACTERS = 8192
const LF = 0x0a

/** The scripts, in the order of the configs, which are all of kind python. Rejects if one is not valid. */
export async function openPython(
  configs: readonly TransformConfig[],
  log: Log,
  signal: AbortSignal,
): Promise<readonly Script[]> {
  const child = new PythonChild(log)
  try {
    await child.open(configs, signal)
  } catch (error) {
    await child.close()
    throw error
  }
  return configs.map((config, step) => ({
    apply: (records, reject, signal) => child.apply(step, config, records, reject, signal),
    close: () => child.close(),
  }))
}

class PythonChild {
  readonly #log: Log
  readonly #changed = new Signpost()
  #process: ChildProcessWithoutNullStreams | undefined
  /** Of an answer that is not complete yet. */
  #pieces: Buffer[] = []
  #answers: Buffer[] = []
  #busy = false
  /** How it ended, once it did. */
  #ended: string | undefined
  #exited: Promise<void> = Promise.resolve()
  /** All it said was logged. */
  #logged: Promise<void> = Promise.resolve()

  constructor(log: Log) {
    this.#log = log
  }

  async open(configs: readonly TransformConfig[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const child = spawn('python3', ['-s', '-X', 'utf8', '-c', PYTHON_PROGRAM], { env: environment(), stdio: 'pipe' })
    this.#process = child
    let missing: Error | undefined
    this.#exited = new Promise((resolve) => {
      child.on('error', (error) => {
        missing = error
        this.#end('could not be started', resolve)
      })
      child.on('exit', (code, name) =>
        this.#end(name === null ? `ended with code ${code}` : `was ended by ${name}`, resolve),
      )
    })
    child.stdin.on('error', () => {}) // told by its end
    child.stdout.on('data', (chunk: Buffer) => this.#take(chunk))
    child.stdout.on('close', () => this.#changed.change())
    this.#logged = this.#logLines(child)
    child.stdin.write(`${settingsFor(configs)}\n`)
    try {
      isReady(await this.#answer(START_SECONDS, signal, ''), configs)
    } catch (error) {
      throw missing === undefined ? error : notStarted(missing)
    }
  }

  async apply(
    step: number,
    { label, timeoutSeconds }: TransformConfig,
    records: readonly SourceRecord[],
    reject: Reject,
    signal: AbortSignal,
  ): Promise<SourceRecord[]> {
    const made: SourceRecord[] = []
    const sizes: number[] = []
    let flying = 0
    this.#busy = true
    const child = this.#process as ChildProcessWithoutNullStreams
    for (const [done, record] of records.entries()) {
      if (this.#answers.length === 0) {
        let lines = ''
        while (sizes.length < records.length && (flying === 0 || flying < WINDOW_CHARACTERS)) {
          const line = `[${step},${oneLine(textOf((records[sizes.length] as SourceRecord).data))}]\n`
          lines += line
          sizes.push(line.length)
          flying += line.length
        }
        if (lines !== '') child.stdin.write(lines)
      }
      const what = `transform ${label}, record ${JSON.stringify(record.id)}: `
      const answer = this.#answers.shift() ?? (await this.#answer(timeoutSeconds + GRACE_SECONDS, signal, what))
      flying -= sizes[done] as number
      answered(answer, record, made, reject)
    }
    this.#busy = false
    return made
  }

  /** Ends the process: at once if it is at work, else by the end of its input. */
  async close(): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    this.#process = undefined
    if (this.#busy) child.kill('SIGKILL')
    child.stdin.end()
    await atMost(END_SECONDS, this.#exited)
    if (this.#ended === undefined) child.kill('SIGKILL')
    await this.#exited
    await atMost(END_SECONDS, this.#logged)
    // A process that the script started may hold them open.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy()
  }

  /** The next answer; rejects when there will be none. `what` says what it would be about. */
  async #answer(seconds: number, signal: AbortSignal, what: string): Promise<Buffer> {
    let over = false
    const timer = setTimeout(() => {
      over = true
      this.#changed.change()
    }, seconds * 1000)
    try {
      for (;;) {
        const answer = this.#answers.shift()
        if (answer !== undefined) return answer
        if (this.#isOver) throw ended(`${what}python3 ${this.#ended}`)
        if (over)
          throw new BizonError('transform', `${what}it took longer than ${seconds} s, and cannot be interrupted`)
        await this.#changed.wait(signal)
      }
    } finally {
      clearTimeout(timer)
    }
  }

  /** It has ended, and everything it said was read. */
  get #isOver(): boolean {
    return this.#ended !== undefined && (this.#process?.pid === undefined || this.#process.stdout.closed)
  }

  #take(chunk: Buffer): void {
    let from = 0
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, from)) {
      const piece = chunk.subarray(from, at)
      this.#answers.push(this.#pieces.length === 0 ? piece : Buffer.concat([...this.#pieces, piece]))
      this.#pieces = []
      from = at + 1
    }
    if (from < chunk.length) this.#pieces.push(chunk.subarray(from))
    this.#changed.change()
  }

  #end(how: string, resolve: () => void): void {
    this.#ended ??= how
    this.#changed.change()
    resolve()
  }

  /** What scripts print, and what Python says when it dies. */
  #logLines(child: ChildProcessWithoutNullStreams): Promise<void> {
    let text = ''
    const say = (line: string): void => {
      if (line.trim() !== '') this.#log.info(`python: ${line.slice(0, LOGGED_CHARACTERS)}`)
    }
    child.stderr.setEncoding('utf8').on('data', (more: string) => {
      const lines = (text + more).split('\n')
      text = (lines.pop() ?? '').slice(0, LOGGED_CHARACTERS)
      for (const line of lines) say(line)
    })
    return new Promise((resolve) => {
      child.stderr.on('close', () => {
        say(text)
        resolve()
      })
    })
  }
}

async function atMost(seconds: number, work: Promise<void>): Promise<void> {
  const done = new AbortController()
  await Promise.race([work, sleep(seconds, done.signal)])
  done.abort()
}

function ended(message: string): BizonError {
  return new BizonError('transform', message, {
    hint: 'A script must not end the process. What Python said about it is in the log.',
  })
}

/** What a program needs to start, and the same order of sets in every process. Nothing else: secrets are in the environment. */
function environment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'LD_LIBRARY_PATH', 'PYENV_ROOT', 'PYENV_VERSION', 'TZ', 'TMPDIR', 'SystemRoot']
  const known = kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))
  return { ...Object.fromEntries(known), LANG: 'C.UTF-8', PYTHONHASHSEED: '0' }
}

function notStarted(cause: Error): BizonError {
  const why =
    systemCode(cause) === 'ENOENT' ? 'there is no python3 on the PATH' : `python3 cannot be started: ${cause.message}`
  return new BizonError('transform', `transforms in Python: ${why}`, {
    cause,
    hint: 'Install Python 3, or write the transform in JavaScript, under `javascript:`.',
  })
}
