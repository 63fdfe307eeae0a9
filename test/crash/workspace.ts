// The folder that a crash test works in, and the real program run in it as a child process: to its end, to the fault
// point where it kills itself, or until the test ends it.

import { type ChildProcess, spawn } from 'node:child_process'
import { cp, link, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export const ROOT = resolve(import.meta.dirname, '../..')
export const BIZON = join(ROOT, 'dist', 'bin', 'bizon.js')
export const NIGHTLY = process.env.BIZON_NIGHTLY === '1'

/** For tests that work through many cases, two at a time, beside others, on a machine that others use as well. */
export const TEST_LIMIT_MS = NIGHTLY ? 3_600_000 : 600_000

/** All by night, and by day the first few: each takes seconds. */
export function fewOf<Item>(all: readonly Item[], byDay = 3): readonly Item[] {
  return NIGHTLY ? all : all.slice(0, byDay)
}

/** A run that takes longer hangs. */
const LIMIT_SECONDS = 180
const AT_A_TIME = 2

export type Files = { readonly [path: string]: string | Buffer }

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Execution {
  /** The bundled program. Default the built one. */
  readonly program?: string
  /** After `run pipeline.yml`. */
  readonly args?: readonly string[]
  /** `BIZON_FAILPOINT`. */
  readonly failpoint?: string
  /** A command and its options in front of `node`: strace, or a shell that sets limits. */
  readonly under?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** Works while the program runs; a rejection ends the program and is passed on. */
  readonly during?: (child: ChildProcess) => Promise<void>
}

export class Workspace {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  static async create(files: Files = {}): Promise<Workspace> {
    const workspace = new Workspace(await realpath(await mkdtemp(join(tmpdir(), 'bizon-crash-'))))
    await workspace.write(files)
    return workspace
  }

  /** As it is, files of a dead process included. The source is the same file under both names, as it is for a resume. */
  async copy(): Promise<Workspace> {
    const { folder } = await Workspace.create()
    const source = this.path('source.ndjson')
    await cp(this.folder, folder, { recursive: true, verbatimSymlinks: true, filter: (path) => path !== source })
    await link(source, join(folder, 'source.ndjson')).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
    return new Workspace(folder)
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  async write(files: Files): Promise<void> {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(this.path(name)), { recursive: true })
      await writeFile(this.path(name), content)
    }
  }

  /** Undefined when there is no such file. */
  async read(name: string): Promise<Buffer | undefined> {
    return readFile(this.path(name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
  }

  /** All files, sorted. */
  async list(): Promise<string[]> {
    const found = await readdir(this.folder, { recursive: true, withFileTypes: true })
    return found
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(this.folder.length + 1))
      .sort()
  }

  /** Runs `bizon run pipeline.yml`. */
  async bizon({ program = BIZON, args = [], failpoint, under = [], env, during }: Execution = {}): Promise<Ended> {
    const command = [...under, process.execPath, program, 'run', 'pipeline.yml', '--quiet', ...args]
    return this.execute(command, { ...env, ...(failpoint !== undefined && { BIZON_FAILPOINT: failpoint }) }, during)
  }

  /** Any program, in the folder. */
  async execute(
    [file = '', ...args]: readonly string[],
    env: NodeJS.ProcessEnv = {},
    during: Execution['during'] = async () => {},
  ): Promise<Ended> {
    const child = spawn(file, args, {
      cwd: this.folder,
      env: { PATH: process.env.PATH, HOME: this.folder, LANG: 'C.UTF-8', TZ: 'UTC', NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    let hung = false
    const timer = setTimeout(() => {
      hung = true
      child.kill('SIGKILL')
    }, LIMIT_SECONDS * 1000)
    const ended = new Promise<Ended>((done, failed) => {
      child.on('error', failed)
      child.on('close', (code, signal) =>
        done({ code, signal, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
      )
    })
    try {
      await Promise.all([ended, during(child)])
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    } finally {
      clearTimeout(timer)
    }
    if (hung) throw new Error(`${file} ${args.join(' ')} still ran after ${LIMIT_SECONDS} s: ${(await ended).stderr}`)
    return ended
  }
}

/** Waits for something that another process does. Where looking takes long it looks less often: the other needs the processor. */
export async function until(what: string, holds: () => Promise<boolean>, child?: ChildProcess): Promise<void> {
  const deadline = performance.now() + LIMIT_SECONDS * 1000
  for (;;) {
    const began = performance.now()
    if (await holds()) return
    if (child && (child.exitCode !== null || child.signalCode !== null)) throw new Error(`ended before ${what}`)
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`)
    await sleep(5 + 4 * (performance.now() - began))
  }
}

/** Whether SIGSTOP has taken effect. */
export async function isStopped({ pid }: ChildProcess): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return status.slice(status.lastIndexOf(')') + 2).startsWith('T')
}

const waiting: (() => void)[] = []
let free = AT_A_TIME

/** Works as soon as fewer than two others of the same test file do, however many tests run at once. */
export async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  if (free > 0) free -= 1
  else await new Promise<void>((resolve) => waiting.push(resolve))
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    if (next) next()
    else free += 1
  }
}

/** Works on all, each in its turn. Collects the complaints. */
export async function eachOf<Item>(
  items: Iterable<Item>,
  work: (item: Item) => Promise<readonly string[]>,
): Promise<string[]> {
  const complaints = await Promise.all([...items].map((item) => inTurn(() => work(item))))
  return complaints.flat()
}
