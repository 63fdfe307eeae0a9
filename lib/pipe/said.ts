// What a loader printed, read back: one STATE value a line, of which the last one says the most.

import { readFile } from 'node:fs/promises'
import { BizonError, messageOf } from '../errors.ts'
import { scanValue, skipWhitespace } from '../json.ts'
import { RawJson } from '../record.ts'
import { readAirbyteMessage } from './airbyte/messages.ts'
import { type PipeState, readState } from './state.ts'

/** The file of `--state`. Undefined, when it is absent or empty: nothing was loaded yet. */
export async function readStateFile(path: string): Promise<PipeState | undefined> {
  const text = await readFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0)
    throw new BizonError('usage', `--state: cannot read ${path}: ${messageOf(error)}`, { cause: error })
  })
  return lastSaid(text, '--state', path)
}

/** The last line's state; undefined: there is no line. `option`, `path`: where it stands, for people. */
export function lastSaid(text: Buffer, option: string, path: string): PipeState | undefined {
  const lines = text.toString('utf8').trimEnd().split('\n')
  const last = Buffer.from(lines.at(-1) ?? '')
  if (skipWhitespace(last, 0, last.length) === last.length) return undefined
  const valid = scanValue(last, 0, last.length) === last.length
  const unfit = (cause?: unknown): BizonError =>
    new BizonError('usage', `${option}: ${path} does not hold a STATE value of bizon`, {
      hint: 'It is what bizon-load prints; its last line counts.',
      cause,
    })
  try {
    const value = valid ? stateIn(new RawJson(last)) : undefined
    const state = value && readState(value)
    if (state) return state
  } catch (error) {
    throw unfit(error)
  }
  throw unfit()
}

/** Of Airbyte a loader prints the whole message. */
function stateIn(printed: RawJson): RawJson | undefined {
  const message = readAirbyteMessage(printed.buffer, printed.start, printed.end)
  return message.type === 'STATE' ? message.value : printed
}
