// --report: what a run did, as JSON, written when it has ended, however it ended.

import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Option } from 'commander'
import type { ConfigOf } from '../lib/config.ts'
import { BizonError, messageOf } from '../lib/errors.ts'
import type { Meter } from '../lib/meter.ts'
import type { Ending } from '../lib/report.ts'
import { version } from './program.ts'
import type { Terminal } from './terminal.ts'

export function reportOption({ dash }: { readonly dash: boolean }): Option {
  const where = dash ? ' into this file; -: standard output' : ' into this file'
  return new Option('--report <path>', `write what the run did, as JSON,${where}; also when it fails or is stopped`)
}

/** Looks at the path before anything is done. `taken`: files that it must not be. */
export function requireReport(
  path: string | undefined,
  { dash, taken = [] }: { readonly dash: boolean; readonly taken?: readonly (string | undefined)[] },
): void {
  if (path === undefined) return
  if (path === '-' && !dash) throw dashRefused()
  if (path === '-') return
  const folder = dirname(path)
  const is = (place: string): boolean => statSync(place, { throwIfNoEntry: false })?.isDirectory() === true
  if (is(path)) throw new BizonError('usage', `--report: ${path} is a folder; a file is needed`)
  if (!is(folder)) throw new BizonError('usage', `--report: there is no folder ${folder}`)
  if (taken.some((other) => other !== undefined && resolve(other) === resolve(path))) {
    throw new BizonError('usage', `--report: ${path} is the pipeline; the report would take its place`)
  }
  checkReplaceable(path, 'usage')
  try {
    accessSync(folder, constants.W_OK)
  } catch (cause) {
    throw new BizonError('usage', `--report: cannot write to ${folder}: ${messageOf(cause)}`, { cause })
  }
}

/** Rejects what is there and is no report: it may be what the run reads, or has loaded, or its state. */
function checkReplaceable(path: string, code: 'usage' | 'state'): void {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found || (found.isFile() && (found.size === 0 || isReport(path)))) return
  throw new BizonError(code, `--report: ${path} is there and is no report, whose place it would take`, {
    hint: 'Name another file, or remove that one.',
  })
}

function isReport(path: string): boolean {
  const start = Buffer.alloc(64)
  const file = openSync(path, 'r')
  try {
    return /^\{\s*"report_version":/.test(start.toString('latin1', 0, readSync(file, start)))
  } finally {
    closeSync(file)
  }
}

/** Standard output is for data alone. */
export function dashRefused(): BizonError {
  return new BizonError('usage', '--report -: standard output carries data here; name a file', {
    hint: '--report report.json',
  })
}

type End = Pick<Ending, 'outcome' | 'exitCode' | 'outputs'> & { readonly error?: unknown }

/** What one command is going to report. */
export class Reporting {
  readonly meter: Meter
  readonly #path: string
  readonly #command: Ending['command']
  readonly #startedAt = new Date()
  #configs: readonly Partial<ConfigOf<'source'>>[] = []

  private constructor(path: string, command: Ending['command'], meter: Meter) {
    this.#path = path
    this.#command = command
    this.meter = meter
  }

  /** Undefined where no report is asked for: nothing is counted then. */
  static async begin(path: string | undefined, command: Ending['command']): Promise<Reporting | undefined> {
    if (path === undefined) return undefined
    const { Meter } = await import('../lib/meter.ts')
    return new Reporting(path, command, new Meter())
  }

  /** Once they are loaded, one for each stream. */
  of(...configs: readonly Partial<ConfigOf<'source'>>[]): void {
    this.#configs = configs
  }

  /** Resolves to the exit code: that of the run, unless that was 0 and its report cannot be written. */
  async end(end: End, terminal: Terminal): Promise<number> {
    const { reportOf, reportText } = await import('../lib/report.ts')
    const report = reportOf({
      ...end,
      version,
      command: this.#command,
      startedAt: this.#startedAt,
      configs: this.#configs,
      meter: this.meter,
    })
    const secrets = this.#configs.flatMap((config) => config.secrets ?? [])
    const text = reportText(report, secrets)
    if (this.#path === '-') {
      terminal.print(text.trimEnd())
      return end.exitCode
    }
    try {
      await writeReport(this.#path, text)
      return end.exitCode
    } catch (error) {
      const code = terminal.fail(error)
      return end.exitCode || code
    }
  }
}

/** All of it or nothing, also after a loss of power. */
export async function writeReport(path: string, text: string): Promise<void> {
  // What was not there when the run began may be what it has loaded.
  checkReplaceable(path, 'state')
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  try {
    const file = await open(temporary, 'w')
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    const message = `--report: cannot write ${path}: ${messageOf(error)}`
    throw new BizonError('state', message, { hint: 'What the run did stays done.', cause: error })
  }
}
