// STATE values of a tap that reads several streams. A Singer STATE takes the place of the one before, so that each says
// where all the streams stand: {"bookmarks": {"orders": {"bizon": …}, "users": {"bizon": …}}}

import { BizonError } from '../errors.ts'
import { isMapping } from '../references.ts'
import { readValueFile } from './said.ts'
import { type PipeState, readStateOf, writeState } from './state.ts'

export class Bookmarks {
  /** Whether every stream is sent whole: its records have a version then, and those of others are to go. */
  readonly whole: boolean
  readonly #spelled: Map<string, string>

  /** `known`: where streams stand already. */
  constructor(known: ReadonlyMap<string, PipeState> = new Map(), { whole = false } = {}) {
    this.whole = whole
    this.#spelled = new Map([...known].map(([stream, state]) => [stream, writeState(state)]))
  }

  /** The value, once this stream stands there. */
  move(stream: string, state: PipeState): string {
    this.#spelled.set(stream, writeState(state))
    const entries = [...this.#spelled].map(([name, text]) => `${JSON.stringify(name)}:${text}`)
    return `{"bookmarks":{${entries.join(',')}}}`
  }
}

/** The file of `--state`, as a target printed it. Absent or empty: nothing was loaded yet. */
export async function readBookmarks(path: string): Promise<ReadonlyMap<string, PipeState>> {
  const value = await readValueFile(path)
  if (value === undefined) return new Map()
  const streams = bookmarksIn(value)
  if (streams) return streams
  throw new BizonError('usage', `--state: ${path} says nothing of streams by their names`, {
    hint: 'It is what was printed when several streams were read. To read several for the first time, leave out --state.',
  })
}

/** Undefined: it is no such value. Throws if one of ours in it is damaged. */
export function bookmarksIn(value: unknown): ReadonlyMap<string, PipeState> | undefined {
  const given = isMapping(value) ? value.bookmarks : undefined
  if (!isMapping(given)) return undefined
  const streams = new Map<string, PipeState>()
  for (const [name, one] of Object.entries(given)) {
    const state = readStateOf(one)
    if (state) streams.set(name, state)
  }
  return streams
}
