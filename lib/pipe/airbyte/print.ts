// Messages of the Airbyte protocol that are not records, each as one line.

import { BizonError, messageOf } from '../../errors.ts'

/** How far a stream is. Without COMPLETE behind it, what was read of it is not all. */
export type StreamStatus = 'STARTED' | 'RUNNING' | 'COMPLETE' | 'INCOMPLETE'

/** A TRACE message of type STREAM_STATUS. */
export function statusTrace(stream: string, status: StreamStatus): string {
  return trace('STREAM_STATUS', 'stream_status', { stream_descriptor: { name: stream }, status })
}

/** A TRACE message of type ERROR, as a connector prints it before it exits with another code than 0. `stream`: what failed with it. */
export function errorTrace(error: unknown, stream?: string): string {
  const hint = error instanceof BizonError ? error.hint : undefined
  const message = messageOf(error) || 'failed without saying why'
  return trace('ERROR', 'error', {
    message: hint === undefined ? message : `${message}\nTry: ${hint}`,
    internal_message: error instanceof BizonError ? error.code : String(error),
    failure_type: failureTypeOf(error),
    ...(stream !== undefined && { stream_descriptor: { name: stream } }),
  })
}

function trace(type: string, key: string, payload: object): string {
  return line('TRACE', 'trace', { type, emitted_at: Date.now(), [key]: payload })
}

/** Any message: its type, and its payload under the key that belongs to it. */
export function line(type: string, key: string, payload: object): string {
  return `${JSON.stringify({ type, [key]: payload })}\n`
}

function failureTypeOf(error: unknown): 'config_error' | 'transient_error' | 'system_error' {
  if (!(error instanceof BizonError)) return 'system_error'
  if (['usage', 'config', 'references'].includes(error.code)) return 'config_error'
  return error.retriable || error.code === 'locked' ? 'transient_error' : 'system_error'
}
