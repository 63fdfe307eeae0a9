// Runs one command and says how long it took, how much processor time that was, and how much memory it held at most.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { open, readFile, rm } from 'node:fs/promises'

const GNU_TIME = '/usr/bin/time'

export interface Command {
  readonly argv: readonly string[]
  /** Standard input and output; absent: nothing, and thrown away. */
  readonly input?: string
  readonly output?: string
  readonly cwd: string
}

export interface Measured {
  readonly seconds: number
  /** Peak resident memory; undefined where the machine has no GNU time. */
  readonly peakBytes: number | undefined
  /** Seconds of processor time, of the system's too; likewise. */
  readonly cpuSeconds: number | undefined
}

/** Rejects with the end of what the command wrote to standard error when it fails. */
export async function measure({ argv, input, output, cwd }: Command): Promise<Measured> {
  const report = `${cwd}/.time`
  const timed = existsSync(GNU_TIME)
  const [program, ...args] = timed ? [GNU_TIME, '-f', '%M %U %S', '-o', report, ...argv] : argv
  if (program === undefined) throw new Error('an empty command')
  const stdin = input === undefined ? undefined : await open(input)
  const stdout = output === undefined ? undefined : await open(output, 'w')
  try {
    const started = performance.now()
    const child = spawn(program, args, {
      cwd,
      stdio: [stdin?.fd ?? 'ignore', stdout?.fd ?? 'ignore', 'pipe'],
      env: { ...process.env, NO_COLOR: '1' },
    })
    let errors = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-2000)
    })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
    const seconds = (performance.now() - started) / 1000
    if (code !== 0) throw new Error(`ended with code ${code}: ${errors.trim().slice(-400)}`)
    if (!timed) return { seconds, peakBytes: undefined, cpuSeconds: undefined }
    const [kilobytes = NaN, user = NaN, system = NaN] = (await readFile(report, 'utf8')).trim().split(' ').map(Number)
    return { seconds, peakBytes: kilobytes * 1024, cpuSeconds: user + system }
  } finally {
    await stdin?.close()
    await stdout?.close()
    await rm(report, { force: true })
  }
}
