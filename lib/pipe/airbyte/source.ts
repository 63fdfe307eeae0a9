// `read`, as an Airbyte source: the streams of a configured catalog, one after the other.

import { type ConfigInput, type ConfigOverrides, loadConfig } from '../../config.ts'
import { BizonError, messageOf } from '../../errors.ts'
import { extract } from '../../extract.ts'
import { type ByteOut, PipeClosed } from '../out.ts'
import type { PipeState } from '../state.ts'
import { type ExtractToOptions, extractTo } from '../to.ts'
import type { ConfiguredStream } from './files.ts'
import { errorTrace } from './print.ts'

/** As for one stream, and where each of them stands. */
export interface ReadStreamsOptions extends Pick<ExtractToOptions, 'log' | 'signal' | 'stop' | 'observe'> {
  readonly overrides?: ConfigOverrides
  /** Where each stream stands; one that is absent is read from its beginning. The state store is not asked. */
  readonly states?: ReadonlyMap<string, PipeState>
}

/** Of all streams together. */
export interface StreamsRead {
  /** `stopped`: by a signal or `max_iterations`. */
  readonly status: 'complete' | 'stopped'
  readonly rows: number
}

/**
 * Writes each stream as Airbyte messages. One that fails is told as such, and the next one is read all the same; then
 * it rejects with the first failure, which needs no telling.
 */
export async function readStreams(
  input: ConfigInput,
  catalog: readonly ConfiguredStream[],
  out: ByteOut,
  { overrides, states, ...options }: ReadStreamsOptions = {},
): Promise<StreamsRead> {
  const failures: BizonError[] = []
  let rows = 0
  let status: StreamsRead['status'] = 'complete'
  for (const { name, mode } of catalog) {
    if (options.stop?.aborted) return { status: 'stopped', rows }
    try {
      const config = await loadConfig(input, ['source'], { ...overrides, stream: name, syncMode: mode })
      const from = { state: states?.get(name), by: '--state' }
      const read = await extractTo(extract(config), out, { ...options, format: 'airbyte', from, begin: false })
      rows += read.rows
      if (read.status === 'stopped') status = 'stopped'
    } catch (error) {
      if (error instanceof PipeClosed || options.signal?.aborted || options.stop?.aborted) throw error
      await out.write(Buffer.from(errorTrace(error, name)))
      options.log?.error(`stream ${name}: ${messageOf(error)}`)
      failures.push(toldOf(error, name))
    }
  }
  if (failures[0]) throw failures[0]
  return { status, rows }
}

/** Failures of `readStreams` of which the messages told already. */
const told = new WeakSet<object>()
export const isTold = (error: unknown): boolean => typeof error === 'object' && error !== null && told.has(error)

function toldOf(error: unknown, stream: string): BizonError {
  const { code, hint } = error instanceof BizonError ? error : { code: 'source' as const, hint: undefined }
  const failure = new BizonError(code, `stream ${stream}: ${messageOf(error)}`, { hint, cause: error })
  told.add(failure)
  return failure
}
