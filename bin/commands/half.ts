// What bizon-extract and bizon-load do alike: from a config to a log and progress, and from however it ends to an exit code.

import type { ConfigOf } from '../../lib/config.ts'
import type { Log, LogLevel } from '../../lib/log.ts'
import { createProgress, type Progress } from '../progress.ts'
import { type Signals, watchSignals } from '../signals.ts'
import type { LogFormat, Terminal } from '../terminal.ts'
import { isInterruption, isPipeClosed, PIPE_CLOSED, quieter } from './interruption.ts'

export interface HalfOptions {
  readonly logLevel?: LogLevel
  readonly logFormat?: LogFormat
  readonly quiet?: true
}

/** Once the config is loaded: what is said from then on, and without which secrets. */
export type Begin = (config: Pick<ConfigOf<'source'>, 'secrets' | 'engine' | 'warnings'>) => {
  readonly log: Log
  readonly progress: Progress | undefined
}

/**
 * Runs `work` to its exit code: its own, that of the signal which ended it, or that of an error, which is printed.
 * `failed` is told of such an error before.
 */
export async function runHalf(
  terminal: Terminal,
  { logLevel, logFormat, quiet }: HalfOptions,
  work: (signals: Signals, begin: Begin) => Promise<number>,
  failed: (error: unknown) => Promise<void> = async () => {},
): Promise<number> {
  let level = logLevel
  let progress: Progress | undefined
  const signals = watchSignals(terminal)
  const begin: Begin = ({ secrets, engine, warnings }) => {
    terminal.conceal(secrets)
    level = engine.runner.logLevel
    const log = terminal.log({ level: quiet ? quieter(level) : level, format: logFormat })
    for (const warning of warnings) log.warn(warning)
    progress = quiet ? undefined : createProgress({ terminal, log })
    return { log, progress }
  }
  try {
    return await work(signals, begin)
  } catch (error) {
    progress?.close()
    const interrupted = signals.exitCode()
    if (isPipeClosed(error)) return interrupted ?? PIPE_CLOSED
    if (interrupted !== undefined && isInterruption(error)) return interrupted
    await failed(error)
    return terminal.fail(error, { stack: level === 'DEBUG' || level === 'TRACE' })
  } finally {
    progress?.close()
    signals[Symbol.dispose]()
  }
}
