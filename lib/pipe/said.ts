// What a loader printed, read back: one STATE value a line, of which the last one says the most.

import { readFile } from 'node:fs/promises'
import { BizonError, messageOf } from '../errors.ts'
import { parseJson, scanValue, skipWhitespace } from '../json.ts'
import type { Json } from '../record.ts'
import { isMapping } from '../references.ts'
import { readAirbyteMessage } from './airbyte/messages.ts'
import { type PipeState, readStateOf } from './state.ts'

/** The last value of the file of `--state`. Undefined, when it is absent or empty: nothing was loaded yet. */
export async function readValueFile(path: string): Promise<Json | undefined> {
  const text = await readFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0)
    throw new BizonError('usage', `--state: cannot read ${path}: ${messageOf(error)}`, { cause: error })
  })
  return lastValue(text, '--state', path)
}

/** What the last line says of a pipe of ours; undefined: there is no line. `option`, `path`: where it stands, for people. */
export function lastSaid(text: Buffer, option: string, path: string): PipeState | undefined {
  const value = lastValue(text, option, path)
  return value === undefined ? undefined : stateIn(value, option, path)
}

/** Throws if the value is not one of ours. */
export function stateIn(value: Json, option: string, path: string): PipeState {
  try {
    const state = readStateOf(value)
    if (state) return state
  } catch (error) {
    throw unfit(option, path, error)
  }
  throw unfit(option, path)
}

/** Programs that run taps may hand over one value of many lines, or an empty object for none. */
function lastValue(text: Buffer, option: string, path: string): Json | undefined {
  const last = isJson(text) ? text : Buffer.from(text.toString('utf8').trimEnd().split('\n').at(-1) ?? '')
  if (skipWhitespace(last, 0, last.length) === last.length) return undefined
  const value = valueIn(last)
  if (value === undefined) throw unfit(option, path)
  return isMapping(value) && Object.keys(value).length === 0 ? undefined : value
}

/** What a printed line says; undefined: it is not JSON. Of Airbyte a loader prints the whole message. */
export function valueIn(line: Buffer): Json | undefined {
  if (!isJson(line)) return undefined
  const message = readAirbyteMessage(line, 0, line.length)
  return parseJson((message.type === 'STATE' && message.value ? message.value : line).toString())
}

function isJson(text: Buffer): boolean {
  const end = scanValue(text, skipWhitespace(text, 0, text.length), text.length)
  return end >= 0 && skipWhitespace(text, end, text.length) === text.length
}

function unfit(option: string, path: string, cause?: unknown): BizonError {
  return new BizonError('usage', `${option}: ${path} does not hold a STATE value of bizon`, {
    hint: 'It is what bizon-load prints; its last line counts.',
    cause,
  })
}
