// Sources over a loopback API, made and read as the engine would.

import rest from '../../connectors/sources/rest.ts'
import { createHttp } from '../../lib/http.ts'
import type { Log } from '../../lib/log.ts'
import { type JsonObject, objectOf } from '../../lib/record.ts'
import type { Page, Position, Source, SourceContext, SourceDefinition, Start } from '../../lib/source.ts'
import { never } from '../../lib/wait.ts'
import { fakeClock } from './fake-clock.ts'
import { sourceContext } from './source-context.ts'

/** A source of the definition, with its keys as YAML has them. Its client does not really wait between tries. */
export function openSource(
  definition: SourceDefinition,
  keys: JsonObject,
  stream: string,
  given: Partial<SourceContext> = {},
): Source {
  const http = createHttp({ clock: fakeClock() })
  return definition.create(definition.config.parse(keys), sourceContext({ stream, http, ...given }))
}

export type ItemsOptions = [endpoint?: JsonObject, keys?: JsonObject, given?: Partial<SourceContext>]

/** A rest source of `/v1/items` with these keys of its endpoint, and of the source. */
export function itemsOf(url: string, ...[endpoint = {}, keys = {}, given = {}]: ItemsOptions): Source {
  const endpoints = { items: { path: 'items', id: 'id', ...endpoint } }
  return openSource(rest, { base_url: `${url}/v1/`, endpoints, ...keys }, 'items', given)
}

export async function readPages(source: Source, from: Start = {}, most = Infinity): Promise<Page[]> {
  const pages: Page[] = []
  try {
    for await (const page of source.read(from, never)) {
      pages.push(page)
      if (pages.length >= most) break
    }
  } finally {
    await source.close?.()
  }
  return pages
}

export const idsOf = (pages: readonly Page[]): string[][] => pages.map(({ records }) => records.map(({ id }) => id))

export const dataOf = (pages: readonly Page[]): JsonObject[] =>
  pages.flatMap(({ records }) => records.map(({ data }) => objectOf(data)))

/** As it is after a process died. */
export const savedPosition = (page: Page | undefined): Position => JSON.parse(JSON.stringify(page?.next)) as Position

/** Collects what is said at `warn`. */
export function listeningLog(): { log: Log; warnings: string[] } {
  const warnings: string[] = []
  const quiet = (): void => {}
  const log = {
    trace: quiet,
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (text: string) => void warnings.push(text),
  }
  return { log: log as unknown as Log, warnings }
}
