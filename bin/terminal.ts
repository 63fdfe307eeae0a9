// Everything the commands say goes through here: results to stdout, all else to stderr, colours only where a
// person sees them, one live line that log lines never cut, and no secret in either stream.

import { inspect } from 'node:util'
import { BizonError, exitCodeOf, messageOf } from '../lib/errors.ts'
import { createLog, type Log, type LogLevel } from '../lib/log.ts'
import { redactor } from '../lib/redact.ts'

export type LogFormat = 'pretty' | 'json'
export type Color = 'red' | 'green' | 'yellow' | 'dim'

export interface Terminal {
  /** Whether a person watches stderr: a live line may be drawn there. */
  readonly live: boolean
  /** One line or more of result, to stdout. */
  print(text: string, color?: Color): void
  /** One line or more for the person, to stderr. */
  note(text: string, color?: Color): void
  /** Shows this line below all others until the next call; `undefined` clears it. Nothing where nobody watches. */
  redraw(line: string | undefined): void
  /** From now on these values are printed as `***`. */
  conceal(secrets: readonly string[]): void
  log(options: { level: LogLevel; format?: LogFormat | undefined }): Log
  /** Prints what went wrong, once, and returns the exit code that belongs to it. */
  fail(error: unknown, options?: { stack?: boolean }): number
}

const CODES: Record<Color, string> = { red: '31', green: '32', yellow: '33', dim: '90' }
const CLEAR_LINE = '\r\u001b[2K'

/** NO_COLOR switches colours off, FORCE_COLOR on; else they are for terminals that can. */
export function colorWanted(isTTY: boolean, env: NodeJS.ProcessEnv): boolean {
  if (env.NO_COLOR) return false
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false'
  return isTTY && env.TERM !== 'dumb'
}

export interface Streams {
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly env: NodeJS.ProcessEnv
}

export function createTerminal({ stdout, stderr, env }: Streams): Terminal {
  const color = { out: colorWanted(stdout.isTTY, env), err: colorWanted(stderr.isTTY, env) }
  const live = Boolean(stderr.isTTY) && env.TERM !== 'dumb'
  const secrets: string[] = []
  let scrub = redactor(secrets)
  let shown: string | undefined

  // Words are not worth the work that they are about, and there is nowhere to say that they cannot be said.
  stderr.on('error', () => {})
  if (stdout !== stderr) {
    stdout.on('error', (error: NodeJS.ErrnoException) => {
      // A reader that has seen enough (`| head`) is no error; what it does not want is dropped.
      if (error.code === 'EPIPE') return
      throw new BizonError('destination', `cannot write to stdout: ${error.message}`, { cause: error })
    })
  }

  const paint = (text: string, name: Color | undefined, on: boolean): string =>
    name && on ? `\u001b[${CODES[name]}m${text}\u001b[0m` : text

  const clear = (): void => {
    if (shown !== undefined) stderr.write(CLEAR_LINE)
  }
  const show = (): void => {
    if (shown !== undefined) stderr.write(`${CLEAR_LINE}${shown}`)
  }
  const above = (write: () => void): void => {
    clear()
    write()
    show()
  }

  const note = (text: string, name?: Color): void =>
    above(() => stderr.write(`${paint(scrub(text), name, color.err)}\n`))

  return {
    live,
    print: (text, name) => above(() => stdout.write(`${paint(scrub(text), name, color.out)}\n`)),
    note,
    redraw(line) {
      if (!live) return
      if (line === undefined) clear()
      // One column is left free: a full line would wrap, and only its last row be cleared.
      shown = line === undefined ? undefined : scrub(line).slice(0, Math.max(20, (stderr.columns || 80) - 1))
      show()
    },
    conceal(values) {
      secrets.push(...values)
      scrub = redactor(secrets)
    },
    log: ({ level, format = stderr.isTTY ? 'pretty' : 'json' }) =>
      createLog({ level, format, color: color.err, write: (line) => above(() => stderr.write(scrub(line))) }),
    fail(error, { stack = false } = {}) {
      const red = paint('Error:', 'red', color.err)
      for (const line of linesOf(error)) note(`${red} ${line}`)
      const hint = hintOf(error, stack)
      if (hint) note(`Try: ${hint}`)
      if (stack) note(inspect(error), 'dim')
      return exitCodeOf(error)
    },
  }
}

/** A config error carries one problem a line: each is an error of its own. */
function linesOf(error: unknown): readonly string[] {
  const message = messageOf(error) || 'failed without saying why'
  return error instanceof BizonError && error.code === 'config' ? message.split('\n') : [message]
}

/** What nobody foresaw has no hint: then the place in the code is what helps. */
function hintOf(error: unknown, stack: boolean): string | undefined {
  if (error instanceof BizonError && (error.hint || error.code !== 'internal')) return error.hint
  return stack
    ? 'this may be a bug in bizon; please report it with what follows'
    : 'run it again with --log-level DEBUG to see where it happened; this may be a bug in bizon'
}
