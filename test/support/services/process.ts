// One process of a server: detached, since it may outlive the one that started it; its output in a file; its number noted
// in the server's folder, so that whoever knows the folder can end it.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A loaded machine takes its time. */
export const LIMIT_MS = 120_000
export const STEP_MS = 20
/** What a server may take to end by itself. */
const GOODBYE_MS = 20_000

export interface Launch extends Pick<SpawnOptions, 'cwd' | 'env' | 'uid' | 'gid'> {
  readonly command: string
  readonly args: readonly string[]
  /** Whether it takes work. Asked again and again. */
  isReady(): Promise<boolean>
}

export class ServerProcess {
  readonly #folder: string
  readonly #name: string
  readonly #goodbye: NodeJS.Signals
  #child: ChildProcess | undefined

  /** The goodbye is the signal that ends it in order. */
  constructor(folder: string, name: string, goodbye: NodeJS.Signals = 'SIGTERM') {
    this.#folder = folder
    this.#name = name
    this.#goodbye = goodbye
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Resolves when it is ready; rejects with what it said last. */
  async start({ command, args, isReady, ...options }: Launch): Promise<void> {
    // Not a pipe: the server may outlive this process.
    const path = join(this.#folder, `${this.#name}.log`)
    const log = await open(path, 'a')
    const env = { ...options.env, [OWNER]: this.#folder }
    const child = spawn(command, args, { ...options, env, stdio: ['ignore', log.fd, log.fd], detached: true })
    await log.close()
    const failed = new Promise<never>((_, reject) => child.once('error', reject))
    failed.catch(() => {})
    this.#child = child
    child.unref()
    if (child.pid !== undefined) {
      await writeFile(this.#note, JSON.stringify({ pid: child.pid, signal: this.#goodbye } satisfies Note))
    }
    const said = async (): Promise<string> => (await readFile(path, 'utf8')).slice(-4000)
    for (const deadline = performance.now() + LIMIT_MS; ; await Promise.race([sleep(STEP_MS), failed])) {
      const hasEnded = child.exitCode !== null || child.signalCode !== null
      if (hasEnded) throw new Error(`${this.#name} stopped while it started: ${await said()}`)
      if (performance.now() > deadline) throw new Error(`${this.#name} is not ready: ${await said()}`)
      if (await Promise.race([isReady(), failed])) return
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  /** By SIGKILL its children go with it, as on a machine that fails; by another signal it sees to them itself. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.ref()
    if (signal === 'SIGKILL') send(-child.pid, signal)
    else child.kill(signal)
    await gone
    await rm(this.#note, { force: true })
  }

  get #note(): string {
    return join(this.#folder, `${this.#name}${NOTE}`)
  }
}

/** It may have ended by itself since one has looked. */
function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

interface Note {
  readonly pid: number
  readonly signal: NodeJS.Signals
}

const NOTE = '.pid.json'
/** In the environment of every process of a server: its folder. */
const OWNER = 'BIZON_TEST_SERVER'

/** Ends all processes that were started for the folder, whoever started them. */
export async function endProcesses(folder: string): Promise<void> {
  const notes = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(NOTE))
  await Promise.all(notes.map((name) => endProcess(join(folder, name), folder)))
}

async function endProcess(note: string, folder: string): Promise<void> {
  const { pid, signal } = JSON.parse(await readFile(note, 'utf8')) as Note
  // Not only the number: a process that died long ago may have left it to another.
  const said = (file: string): Promise<string> => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
  const isOurs = async (): Promise<boolean> =>
    (await said('cmdline')).includes(folder) || (await said('environ')).includes(`${OWNER}=${folder}`)
  for (let waited = 0; await isOurs(); waited += STEP_MS) {
    if (waited === 0) send(pid, signal)
    if (waited > GOODBYE_MS) send(-pid, 'SIGKILL')
    await sleep(STEP_MS)
  }
  await rm(note, { force: true })
}
