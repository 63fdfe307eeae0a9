// The contract of a source as one call, for the tests of a source of one's own: `await verifySource(source, { … })`.

import { definitionProblem } from '../custom/definition.ts'
import { pageProblem } from '../custom/page.ts'
import { BizonError } from '../errors.ts'
import { createHttp } from '../http.ts'
import { silentLog } from '../log.ts'
import type { Json } from '../record.ts'
import { textOf } from '../record.ts'
import { findStream, type Page, type Source, type SourceDefinition, type Start, type StreamInfo } from '../source.ts'

export interface SourceUse {
  readonly stream: string
  /** The keys under `source:` that are its own, as a YAML file would have them. Default: none. */
  readonly config?: object
  /** Incremental: the watermark that an earlier run left. Default: none, everything is read. */
  readonly since?: Json
  /** More pages than this are taken for a source that never ends. Default 1,000. */
  readonly maxPages?: number
}

export interface VerifiedSource {
  readonly pages: readonly Page[]
  /** Of all records, in order. */
  readonly ids: readonly string[]
}

/**
 * Reads everything, then again from each position, as a run does that was killed there, and for an incremental stream
 * once more from where this reading ended. Resolves to what was read; rejects with the first thing that breaks the
 * contract.
 */
export async function verifySource(definition: SourceDefinition, use: SourceUse): Promise<VerifiedSource> {
  const reader = new Reader(definition, use)
  const start: Start = use.since === undefined ? {} : { since: { time: new Date(0), value: use.since } }
  const pages = await reader.read(start, 'from the beginning')
  const records = pages.flatMap((page) => page.records)
  const { primaryKey, resumable, incremental } = reader.stream
  if (primaryKey) requireUnique(records.map(({ id }) => id))

  const lines = (of: readonly Page[]): string[] =>
    of.flatMap(({ records }) =>
      records.map(({ id, data, timestamp, destinationId }) => {
        const more = JSON.stringify({ timestamp, destinationId })
        return `${JSON.stringify(id)} ${textOf(data)}${more === '{}' ? '' : ` ${more}`}`
      }),
    )
  for (const [index, { next }] of pages.entries()) {
    if (next === null || !(resumable || incremental)) continue
    const position = JSON.parse(JSON.stringify(next))
    const rest = await reader.read({ ...start, position }, `from the position after page ${index + 1}`)
    requireSame(lines(rest), lines(pages.slice(index + 1)), index + 1)
  }
  if (incremental) {
    const value = pages.findLast((page) => page.watermark !== undefined)?.watermark
    const since = { time: new Date(), ...(value !== undefined && { value }) }
    const again = lines(await reader.read({ since }, 'since this reading'))
    if (records.length > 1 && again.length >= records.length)
      throw broken(`nothing changed, and an incremental reading gave all ${again.length} records again`)
  }
  return { pages, ids: records.map(({ id }) => id) }
}

class Reader {
  readonly stream: StreamInfo
  readonly #definition: SourceDefinition
  readonly #use: SourceUse
  readonly #options: unknown

  constructor(definition: SourceDefinition, use: SourceUse) {
    const problem = definitionProblem({ default: definition }, 'source')
    if (problem !== undefined) throw broken(problem)
    const parsed = definition.config.safeParse(use.config ?? {})
    if (!parsed.success) throw new BizonError('config', parsed.error.message)
    const stream = findStream(definition.streams(parsed.data), use.stream)
    if (!stream) throw broken(`it does not declare the stream ${JSON.stringify(use.stream)}`)
    this.stream = stream
    this.#definition = definition
    this.#use = use
    this.#options = parsed.data
  }

  /** All pages from there, by a source of its own, each looked at. */
  async read(start: Start, from: string): Promise<Page[]> {
    const http = createHttp()
    const ended = new AbortController()
    const source = this.#definition.create(this.#options, {
      pipeline: 'verify',
      stream: this.#use.stream,
      mode: start.since ? 'incremental' : 'full_refresh',
      log: silentLog,
      http,
    })
    try {
      await source.check?.(ended.signal)
      return await this.#pages(source, start, from, ended.signal)
    } finally {
      ended.abort()
      await source.close?.()
      await source.close?.() // must be safe twice
      await http.close()
    }
  }

  async #pages(source: Source, start: Start, from: string, signal: AbortSignal): Promise<Page[]> {
    const { maxPages = 1000 } = this.#use
    const pages: Page[] = []
    for await (const page of source.read(start, signal)) {
      const problem = pageProblem(page)
      if (problem !== undefined) throw broken(`read ${from}, page ${pages.length + 1}${problem}`)
      if (pages.at(-1)?.next === null) throw broken(`read ${from}, it gave a page after the last one`)
      pages.push(page)
      if (pages.length > maxPages) throw broken(`read ${from}, it had no end after ${maxPages} pages`)
    }
    if (pages.at(-1)?.next !== null) throw broken(`read ${from}, it stopped without a page that has \`next: null\``)
    return pages
  }
}

function requireUnique(ids: readonly string[]): void {
  const seen = new Set<string>()
  for (const id of ids) {
    if (seen.has(id)) throw broken(`it has a primary key, and gave two records of the id ${JSON.stringify(id)}`)
    seen.add(id)
  }
}

function requireSame(got: readonly string[], expected: readonly string[], page: number): void {
  const length = Math.max(got.length, expected.length)
  for (let index = 0; index < length; index++) {
    if (got[index] === expected[index]) continue
    const [is, should] = [got[index] ?? 'nothing', expected[index] ?? 'nothing']
    throw broken(
      `resumed after page ${page}, record ${index + 1} is ${is}; read in one go it was ${should}. ` +
        'A position must say all that is needed to go on, or the stream not be `resumable`',
    )
  }
}

function broken(what: string): BizonError {
  return new BizonError('source', `the source breaks its contract: ${what}`)
}
