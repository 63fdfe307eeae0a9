// What the first lines of a pipe say of those that follow.

import { skipWhitespace } from '../json.ts'
import { readAirbyteMessage } from './airbyte/messages.ts'
import { type Lines, lineEnd } from './lines.ts'
import { readMessage } from './messages.ts'
import { type Beginning, type PipeState, readState } from './state.ts'

/** What may come through a pipe. `auto`: its first lines say, unless it is CSV. */
export const PIPE_DIALECTS = ['auto', 'singer', 'airbyte', 'ndjson', 'csv'] as const
export type PipeDialect = (typeof PIPE_DIALECTS)[number]
export type Dialect = Exclude<PipeDialect, 'auto'>

/** Of a producer of ours: where the pipe begins, as its first line says, which is all that is given. */
export function beginningOf({ buffer, start, end }: Lines): { dialect: Dialect; state: PipeState } | undefined {
  const singer = readMessage(buffer, start, end)
  if (singer.type === 'STATE') return own('singer', readState(singer.value))
  const airbyte = readAirbyteMessage(buffer, start, end)
  if (airbyte.type === 'STATE' && airbyte.value) return own('airbyte', readState(airbyte.value))
  return undefined
}

const own = (dialect: Dialect, state: PipeState | undefined) => (state?.begin ? { dialect, state } : undefined)

/**
 * An object whose `type` is one of Singer's or Airbyte's is a message, any other one a record. What is no object at all
 * says nothing: programs that speak Airbyte may print such lines before their first message. Undefined: nothing does.
 */
export function dialectOf(block: Lines): Dialect | undefined {
  const { buffer, end } = block
  let other = false
  for (let at = block.start; at < end; ) {
    const stop = lineEnd(buffer, at, end)
    const singer = readMessage(buffer, at, stop)
    if (singer.type !== 'INVALID' && singer.type !== 'OTHER') return 'singer'
    const airbyte = readAirbyteMessage(buffer, at, stop)
    if (airbyte.type === 'OTHER' && AIRBYTE_ALONE.test(airbyte.name)) return 'airbyte'
    if (!['OTHER', 'TEXT', 'INVALID'].includes(airbyte.type)) return 'airbyte'
    const isText = airbyte.type === 'TEXT' && airbyte.at !== undefined
    // Any type may stand between those of a tap, so that a message of it says nothing yet.
    if (singer.type === 'OTHER') other = true
    else if (singer.type === 'INVALID' && singer.ofStream) return 'singer'
    else if (!isText && skipWhitespace(buffer, at, stop) < stop) return 'ndjson'
    at = stop + 1
  }
  return other ? 'ndjson' : undefined
}

/** Types of messages that nobody else has. */
const AIRBYTE_ALONE = /^(?:TRACE .*|CONTROL|CONNECTION_STATUS|DESTINATION_CATALOG)$/

/** Of a program that says nothing of its run: what comes is added to what is there, or `replaces` it. */
export function foreign(dialect: Dialect, stream = 'records', replaces = false): Beginning {
  return {
    pipeline: '',
    // Bare records are the same, however they are written.
    source: dialect === 'csv' ? 'ndjson' : dialect,
    stream: { ndjson: stream, csv: stream, singer: 'tap', airbyte: 'source' }[dialect],
    mode: replaces ? 'full_refresh' : 'incremental',
    // Such a program begins again at its beginning.
    resumable: !replaces,
    reset: false,
    startOver: false,
    hash: '',
    transforms: '',
  }
}
