// The pipeline as real processes in a scratch folder: one, or extract and load with a pipe between, run to the end, to the
// point where one of them is killed, or against a limit.

import { type ChildProcess, spawn } from 'node:child_process'
import { BizonError } from '../errors.ts'

/** Which process: the only one, or one side of the pipe. */
export type Side = 'run' | 'extract' | 'load'

export interface Program {
  /** Of the user's file: options behind it, such as `--env-file`. */
  readonly args: readonly string[]
  readonly file: string
  /** The built programs. */
  readonly bizon: string
  readonly extract: string
  readonly load: string
  /** Options for the side that reads the source, and for the one that writes. */
  readonly reading: readonly string[]
  readonly writing: readonly string[]
}

export interface Execution {
  readonly pipe: boolean
  readonly folder: string
  /** Of one side, or of the one there is. */
  readonly env?: { readonly [side in Side]?: NodeJS.ProcessEnv }
  /** In front of the program: strace, or a shell that sets a limit. */
  readonly under?: { readonly [side in Side]?: readonly string[] }
  readonly reading?: readonly string[]
  readonly signal: AbortSignal
}

export interface Ended {
  readonly side: Side
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stderr: string
}

/** A run that takes longer hangs. */
const LIMIT_MS = 600_000
const KEPT_BYTES = 20_000

/** Resolves once all processes have ended, whatever became of them. */
export async function execute(program: Program, given: Execution): Promise<readonly Ended[]> {
  const { pipe, folder, reading = [], signal } = given
  signal.throwIfAborted()
  const common = ['--quiet', '--scratch', folder, ...program.args]
  const { file } = program
  if (!pipe) {
    const args = [program.bizon, 'run', file, ...common, ...program.reading, ...program.writing, ...reading]
    return [await ended('run', start('run', args, given, ['ignore', 'ignore', 'pipe']), signal)]
  }
  const extract = start('extract', [program.extract, file, ...common, ...program.reading, ...reading], given, [
    'ignore',
    'pipe',
    'pipe',
  ])
  const load = start('load', [program.load, file, ...common, ...program.writing], given, [
    extract.stdout as NonNullable<typeof extract.stdout>,
    'ignore',
    'pipe',
  ])
  // The child has the pipe now; held here as well it would not end with the side that is killed.
  extract.stdout?.destroy()
  return Promise.all([ended('extract', extract, signal), ended('load', load, signal)])
}

export const isDone = (ends: readonly Ended[]): boolean => ends.every(({ code }) => code === 0)

export const wasKilled = (ends: readonly Ended[]): boolean =>
  ends.some(({ code, signal }) => signal === 'SIGKILL' || code === 137)

/** The last words of a process that did not end well. */
export function complaintOf(ends: readonly Ended[]): string {
  const bad = badOf(ends)
  if (!bad) return ''
  const error = bad.stderr.split('\n').find((line) => line.startsWith('Error: '))
  return error?.slice(7) ?? `ended with ${bad.signal ?? `exit code ${bad.code}`}`
}

/** What it said to try. */
export function hintOf(ends: readonly Ended[]): string | undefined {
  const hint = badOf(ends)
    ?.stderr.split('\n')
    .find((line) => line.startsWith('Try: '))
  return hint?.slice(5)
}

function badOf(ends: readonly Ended[]): Ended | undefined {
  return ends.find(({ code, stderr }) => code !== 0 && /^Error: /m.test(stderr)) ?? ends.find(({ code }) => code !== 0)
}

type Stdio = NonNullable<Parameters<typeof spawn>[2]['stdio']>

function start(side: Side, args: readonly string[], { env, under }: Execution, stdio: Stdio): ChildProcess {
  const [file = process.execPath, ...rest] = [...(under?.[side] ?? []), process.execPath, ...args]
  const { BIZON_FAILPOINT: _, BIZON_FAULTS_TO: __, ...own } = process.env
  return spawn(file, rest, { env: { ...own, NO_COLOR: '1', ...env?.[side] }, stdio })
}

async function ended(side: Side, child: ChildProcess, abort: AbortSignal): Promise<Ended> {
  let stderr = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = `${stderr}${chunk}`.slice(-KEPT_BYTES)
  })
  const kill = (): void => void child.kill('SIGKILL')
  abort.addEventListener('abort', kill, { once: true })
  let hung = false
  const timer = setTimeout(() => {
    hung = true
    kill()
  }, LIMIT_MS)
  try {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done, failed) => {
      child.on('error', failed)
      child.on('close', (...how) => done(how))
    })
    abort.throwIfAborted()
    if (hung) throw new BizonError('internal', `a run in ${side} still went on after ${LIMIT_MS / 60_000} minutes`)
    return { side, code, signal, stderr }
  } finally {
    clearTimeout(timer)
    abort.removeEventListener('abort', kill)
  }
}
