// What bizon-extract and bizon-load do alike: from a config to a log and progress, and from however it ends to an exit code.

import type { ConfigOf } from '../../lib/config.ts'
import type { Observer } from '../../lib/events.ts'
import type { Log, LogLevel } from '../../lib/log.ts'
import { limitMemory } from '../../lib/memory.ts'
import type { Meter } from '../../lib/meter.ts'
import { createProgress, type Progress } from '../progress.ts'
import { Reporting } from '../report.ts'
import { type Signals, watchSignals } from '../signals.ts'
import type { LogFormat, Terminal } from '../terminal.ts'
import { isInterruption, isPipeClosed, PIPE_CLOSED, quieter } from './interruption.ts'

export interface HalfOptions {
  readonly logLevel?: LogLevel
  readonly logFormat?: LogFormat
  readonly quiet?: true
  readonly maxMemory?: number
  readonly report?: string
}

/** Once the configs are loaded, one for each stream: what is said from then on, and without which secrets. */
export type Begin = (
  config: HalfConfig,
  ...others: readonly HalfConfig[]
) => {
  readonly progress: Progress | undefined
  /** For whoever does the work. */
  readonly watch: {
    readonly log: Log
    readonly signal: AbortSignal
    readonly stop: AbortSignal
    readonly observe?: Observer
    readonly meter?: Meter
  }
}
type HalfConfig = Pick<ConfigOf<'source'>, 'secrets' | 'engine' | 'warnings'> & Partial<ConfigOf<'source'>>

/** How the work ended that did not fail. */
export interface HalfEnd {
  readonly exitCode: number
  readonly outcome: 'succeeded' | 'stopped'
  readonly outputs?: readonly string[]
}

/**
 * Runs `work` to its exit code: its own, that of the signal which ended it, or that of an error, which is printed.
 * `failed` is told of such an error before.
 */
export async function runHalf(
  terminal: Terminal,
  command: 'extract' | 'load',
  { logLevel, logFormat, quiet, report: path, maxMemory }: HalfOptions,
  work: (signals: Signals, begin: Begin) => Promise<HalfEnd>,
  failed: (error: unknown) => Promise<void> = async () => {},
): Promise<number> {
  if (maxMemory !== undefined) limitMemory(maxMemory)
  let level = logLevel
  let progress: Progress | undefined
  const signals = watchSignals(terminal)
  const reporting = await Reporting.begin(path, command)
  const ended = async (end: HalfEnd | Parameters<Reporting['end']>[0]): Promise<number> =>
    reporting ? reporting.end(end, terminal) : end.exitCode
  const begin: Begin = (config, ...others) => {
    const { secrets, engine, warnings } = config
    reporting?.of(config, ...others)
    terminal.conceal(secrets)
    level = engine.runner.logLevel
    const log = terminal.log({ level: quiet ? quieter(level) : level, format: logFormat })
    for (const warning of warnings) log.warn(warning)
    progress = quiet ? undefined : createProgress({ terminal, log })
    const observe = progress?.observe
    const { abort: signal, stop } = signals
    const watch = { log, signal, stop, ...(observe && { observe }), ...(reporting && { meter: reporting.meter }) }
    return { progress, watch }
  }
  try {
    return await ended(await work(signals, begin))
  } catch (error) {
    progress?.close()
    const interrupted = signals.exitCode()
    if (isPipeClosed(error)) return ended({ exitCode: interrupted ?? PIPE_CLOSED, outcome: 'stopped', error })
    if (interrupted !== undefined && isInterruption(error)) {
      return ended({ exitCode: interrupted, outcome: 'stopped', error })
    }
    await failed(error)
    const exitCode = terminal.fail(error, { stack: level === 'DEBUG' || level === 'TRACE' })
    return ended({ exitCode, outcome: 'failed', error })
  } finally {
    progress?.close()
    signals[Symbol.dispose]()
  }
}
