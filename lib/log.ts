// What the engine tells people while it works. A library leaves logging to its host: the default is silence,
// and any object with these five methods will do (console, pino). The commands log to stderr.

export const LOG_LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface Log {
  trace(message: string): void
  debug(message: string): void
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

const nothing = (): void => {}
export const silentLog: Log = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
}

export interface LogOptions {
  /** Lines below it are dropped. Default INFO. */
  readonly level?: LogLevel
  /** `pretty` for people, `json` for machines: one object a line with `time`, `level`, `message`. */
  readonly format: 'pretty' | 'json'
  /** Colours in pretty lines. */
  readonly color?: boolean
  /** Takes one whole line with its line end. */
  write(line: string): void
}

const COLORS: Record<LogLevel, string> = {
  TRACE: '90',
  DEBUG: '90',
  INFO: '36',
  WARNING: '33',
  ERROR: '31',
  CRITICAL: '31',
}

export function createLog({ level = 'INFO', format, color = false, write }: LogOptions): Log {
  const least = LOG_LEVELS.indexOf(level)
  const at = (name: LogLevel) => {
    if (LOG_LEVELS.indexOf(name) < least) return nothing
    return (message: string): void =>
      write(format === 'json' ? jsonLine(name, message) : prettyLine(name, message, color))
  }
  return {
    trace: at('TRACE'),
    debug: at('DEBUG'),
    info: at('INFO'),
    warn: at('WARNING'),
    error: at('ERROR'),
  }
}

function jsonLine(level: LogLevel, message: string): string {
  return `${JSON.stringify({ time: new Date().toISOString(), level, message })}\n`
}

function prettyLine(level: LogLevel, message: string, color: boolean): string {
  const name = color ? `\u001b[${COLORS[level]}m${level.toLowerCase()}\u001b[0m` : level.toLowerCase()
  return `${new Date().toISOString().slice(11, 19)} ${name} ${message}\n`
}
