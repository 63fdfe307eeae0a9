// What commands share about being stopped, being quiet, and not being able to tell.

import { BizonError } from '../../lib/errors.ts'
import { LOG_LEVELS, type LogLevel } from '../../lib/log.ts'

/** Exit code when nobody reads standard output any more: that of every program that is killed by SIGPIPE. */
export const PIPE_CLOSED = 141

/** Whether nobody reads standard output any more. The class is not imported: most commands never write there so. */
export function isPipeClosed(error: unknown): boolean {
  return error instanceof Error && error.name === 'PipeClosed'
}

export function quieter(level: LogLevel): LogLevel {
  return LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf('WARNING') ? 'WARNING' : level
}

/**
 * The exit code of a command whose 1 says that rows are not as they must be: 2 for all else that failed, so that a server
 * out of reach is not taken for damage.
 */
export function untold(exitCode: number, error: unknown): number {
  const isDamage = error instanceof BizonError && error.code === 'edited'
  return exitCode === 1 && !isDamage ? 2 : exitCode
}

/** Whether the error only says that a signal ended the work. */
export function isInterruption(error: unknown): boolean {
  if (error instanceof BizonError) return error.code === 'interrupted'
  return error instanceof Error && error.name === 'AbortError'
}
