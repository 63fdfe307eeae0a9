// Several streams of one source as a Singer tap gives them: one after the other, and each STATE says where all stand.
// Where all of them are read whole, each is sent with a version, so that a target replaces what it had of it.

import type { ConfigOf } from '../config.ts'
import { extract } from '../extract.ts'
import { Bookmarks } from './bookmarks.ts'
import type { ByteOut } from './out.ts'
import type { PipeState } from './state.ts'
import { type Extracted, type ExtractToOptions, extractTo } from './to.ts'

export interface ExtractStreamsOptions extends Pick<ExtractToOptions, 'log' | 'signal' | 'stop' | 'observe' | 'meter'> {
  /** Where each stream stands; one that is absent is read from its beginning. */
  readonly states?: ReadonlyMap<string, PipeState> | undefined
}

/** `configs`: one for each stream. Rejects with the first failure; what came before it can be gone on from. */
export async function extractStreams(
  configs: readonly ConfigOf<'source'>[],
  out: ByteOut,
  { states, ...options }: ExtractStreamsOptions,
): Promise<Pick<Extracted, 'status' | 'rows'>> {
  const whole = configs.filter(({ source }) => source.mode === 'full_refresh')
  const bookmarks = new Bookmarks(states, { whole: whole.length === configs.length })
  if (whole.length > 0 && !bookmarks.whole) {
    const names = whole.map(({ source }) => source.stream).join(', ')
    options.log?.warn(`${names}: read whole beside streams that are not, so that a target adds all of it each time`)
  }
  let rows = 0
  for (const config of configs) {
    if (options.stop?.aborted) return { status: 'stopped', rows }
    const from = { state: states?.get(config.source.stream), by: '--state' }
    const read = await extractTo(extract(config), out, { ...options, from, among: bookmarks, begin: false })
    rows += read.rows
    if (read.status === 'stopped') return { status: 'stopped', rows }
  }
  return { status: 'complete', rows }
}
