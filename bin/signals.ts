// Ctrl-C and kill, said to a run: the first signal asks for a stop at the next checkpoint, the second ends it at
// once, and a third is left to the system, which kills.

import { BizonError } from '../lib/errors.ts'
import type { Terminal } from './terminal.ts'

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const
type StopSignal = keyof typeof EXIT_CODES
const NAMES = Object.keys(EXIT_CODES) as StopSignal[]

export interface Signals {
  /** Aborted by the first signal. */
  readonly stop: AbortSignal
  /** Aborted by the second. */
  readonly abort: AbortSignal
  /** 128 and the number of the first signal that came; undefined while none did. */
  exitCode(): number | undefined
  /** Gives signals their usual meaning back. */
  [Symbol.dispose](): void
}

/** Watches while something works; what a signal has ended gives the signal's exit code instead of the error. */
export async function whileWatching(
  terminal: Pick<Terminal, 'note'>,
  work: (signals: Signals) => Promise<number>,
): Promise<number> {
  const signals = watchSignals(terminal)
  try {
    return await work(signals)
  } catch (error) {
    const interrupted = signals.exitCode()
    if (interrupted === undefined) throw error
    return interrupted
  } finally {
    signals[Symbol.dispose]()
  }
}

export function watchSignals(terminal: Pick<Terminal, 'note'>): Signals {
  const stop = new AbortController()
  const abort = new AbortController()
  let first: StopSignal | undefined

  const onSignal = (name: StopSignal): void => {
    if (first === undefined) {
      first = name
      terminal.note(
        name === 'SIGINT'
          ? 'Stopping at the next checkpoint; press Ctrl-C again to stop at once.'
          : `Stopping at the next checkpoint (${name}); a second signal stops at once.`,
      )
      stop.abort(new BizonError('interrupted', `stopped by ${name}`))
      return
    }
    release()
    terminal.note('Stopping at once.')
    abort.abort(new BizonError('interrupted', `stopped at once by ${name}`))
  }
  const release = (): void => {
    for (const name of NAMES) process.off(name, onSignal)
  }

  for (const name of NAMES) process.on(name, onSignal)
  return {
    stop: stop.signal,
    abort: abort.signal,
    exitCode: () => first && EXIT_CODES[first],
    [Symbol.dispose]: release,
  }
}
