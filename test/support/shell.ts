// Lines of bash with the built programs on the PATH: every part's exit code, and signals to the group or to one program.

import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

const ROOT = resolve(import.meta.dirname, '../..')

/** Makes the programs known to the lines that are started in the folder. */
export async function addPrograms(folder: string): Promise<void> {
  const bins = await mkdtemp(join(folder, 'bin-'))
  for (const name of ['bizon-extract', 'bizon-load']) {
    const program = join(bins, name)
    await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${ROOT}/dist/bin/${name}.js' "$@"\n`)
    await chmod(program, 0o755)
  }
  await writeFile(join(folder, 'path'), bins)
}

export interface Ran {
  /** Exit codes of the parts of the line, in order. */
  readonly codes: readonly number[]
  readonly stdout: string
  readonly stderr: string
}

/** A line of bash that goes on behind a signal. */
export interface Line {
  /** Resolves once so much is on standard error or output. */
  until(text: string): Promise<void>
  /** Sends a signal to the whole group, or to the one program, once that has started. */
  signal(name: NodeJS.Signals, program?: string): Promise<void>
  readonly ended: Promise<Ran>
  /** Whatever still runs of it. */
  kill(): void
}

const isAlive = (group: number): boolean => {
  try {
    return process.kill(-group, 0)
  } catch {
    return false
  }
}

/** Starts it in the folder, in a process group of its own. */
export function startLine(folder: string, script: string): Line {
  const codes = join(folder, 'codes')
  const text = `PATH="$(cat path):$PATH"; trap : INT TERM HUP; ${script}; printf '%s ' "\${PIPESTATUS[@]}" > '${codes}'`
  const env = { PATH: process.env.PATH, HOME: folder, LANG: 'C.UTF-8', NO_COLOR: '1' }
  const child = spawn('bash', ['-c', text], { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  const group = child.pid as number
  const ended = new Promise<Ran>((done, failed) => {
    child.on('close', () => {
      // Nothing is left running.
      if (isAlive(group)) failed(new Error(`something of the line still runs: ${script}`))
      readFile(codes, 'utf8').then(
        (found) => done({ codes: found.trim().split(' ').map(Number), stdout, stderr }),
        failed,
      )
    })
  })
  return {
    ended,
    kill() {
      if (isAlive(group)) process.kill(-group, 'SIGKILL')
    },
    async until(wanted) {
      while (!stdout.includes(wanted) && !stderr.includes(wanted)) {
        if (child.exitCode !== null) throw new Error(`it ended without ${wanted}: ${stderr}`)
        await wait(20)
      }
    },
    async signal(name, program) {
      if (program === undefined) return void process.kill(-group, name)
      for (;;) {
        const pid = await pidOf(group, program)
        if (pid !== undefined) return void process.kill(pid, name)
        if (child.exitCode !== null) throw new Error(`it ended before ${program} was there: ${stderr}`)
        await wait(20)
      }
    },
  }
}

/** Undefined while it has not started. */
async function pidOf(group: number, program: string): Promise<number | undefined> {
  const listed = spawn('ps', ['-e', '-o', 'pid=,pgid=,args='], { stdio: ['ignore', 'pipe', 'ignore'] })
  let text = ''
  for await (const chunk of listed.stdout) text += chunk
  const found = text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, of, ...args]) => Number(of) === group && args.some((arg) => arg.endsWith(`${program}.js`)))
  return found && Number(found[0])
}
