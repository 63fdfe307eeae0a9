// A source of one endpoint: pages of records with their positions and, for an incremental read, the watermark.

import type { z } from 'zod'
import type { authenticationSchema } from '../../../lib/auth.ts'
import { BizonError } from '../../../lib/errors.ts'
import type { apiConfigSchema } from '../../../lib/http/config.ts'
import { Increment } from '../../../lib/increment.ts'
import type { Item } from '../../../lib/json/path.ts'
import type { Log } from '../../../lib/log.ts'
import type { JsonObject, SourceRecord } from '../../../lib/record.ts'
import { sizeOf } from '../../../lib/record.ts'
import type { Page, Source, SourceContext, Start } from '../../../lib/source.ts'
import type { Endpoint } from './endpoint.ts'
import { FIRST, integerAt } from './pages.ts'
import { type Bounds, type Place, type Read, Reader } from './read.ts'
import { cursorIn, type Parent, recordsOf } from './records.ts'

export interface SourceParts {
  readonly endpoint: Endpoint
  readonly baseUrl: string
  readonly headers?: Readonly<Record<string, string>>
  readonly authentication?: z.output<typeof authenticationSchema> | undefined
  readonly api: z.output<typeof apiConfigSchema>
  readonly hosts?: readonly string[]
  /** Changes the records of each page, for instance by asking for more of each. */
  readonly complete?: Complete
}

export type Complete = (
  records: readonly SourceRecord[],
  reader: Reader,
  signal: AbortSignal,
) => Promise<readonly SourceRecord[]>

interface Position extends Place {
  readonly increment?: JsonObject
}

export function createSource(parts: SourceParts, { http, mode, log, stream, readAhead = true }: SourceContext): Source {
  const { endpoint, baseUrl, headers, authentication, api: config, hosts = [], complete } = parts
  const client = http({ baseUrl, ...(headers && { headers }), authentication, api: config })
  const reader = new Reader({ client, baseUrl, hosts, log: onceEach(log), readAhead })
  const { incremental } = endpoint.config
  if (mode === 'incremental') refuseBounds(endpoint)
  let total: number | undefined

  const incrementOf = ({ position, since }: Start): Increment | undefined =>
    incremental &&
    new Increment(
      {
        field: incremental.cursor_field,
        format: incremental.format,
        lookback: incremental.lookback,
        startValue: incremental.start_value,
      },
      since,
      (position as Position | undefined)?.increment,
    )

  const pageOf = async (read: Read, increment: Increment | undefined, signal: AbortSignal): Promise<Page> => {
    const { answer, here, parent } = read
    let found = answer ? recordsOf(endpoint, answer, here, parent) : []
    const counts = increment !== undefined && mode === 'incremental'
    if (counts) {
      const { items = [] } = answer?.found ?? {}
      found = found.filter((record, at) => increment.take(known(record, parent), cursorIn(endpoint, items[at] as Item)))
    }
    const records = complete ? await complete(found, reader, signal) : found
    const bytes = records.reduce((sum, { data }) => sum + sizeOf(data), 0)
    if (read.next) return { records, bytes, next: { ...read.next, ...(increment && { increment: increment.state }) } }
    const watermark = counts ? increment.watermark : undefined
    return { records, bytes, next: null, ...(watermark !== undefined && { watermark }) }
  }

  const tell = (increment: Increment): void => {
    const { missing, forgotten, dropped, early } = increment
    const { cursor_field: field, format } = incremental ?? {}
    if (early > 0 && (format === 'as_is' || format === 'rfc3339')) {
      const asked = incremental?.param ? `${incremental.param}=${increment.since}` : `since ${increment.since}`
      log.warn(
        `stream ${stream}: ${early} records are older than what was asked for (${asked}), and are added again by each run: the API seems not to know that parameter`,
      )
    }
    if (missing > 0)
      log.warn(`stream ${stream}: ${missing} records have no ${field}; each run that is given them adds them again`)
    if (forgotten > 0)
      log.warn(
        `stream ${stream}: ${forgotten} records more than can be told apart have the last ${field}; the next run adds them again`,
      )
    if (endpoint.parent && increment.isTimed === false) {
      const why = 'is no time, so that what came to a record of the parent that was read already may be missed'
      log.warn(`stream ${stream}: ${field} ${why}; see docs/rest.md, Children`)
    }
    if (dropped > 0) log.debug(`stream ${stream}: left out ${dropped} records that the run before has loaded`)
  }

  const first = async (signal: AbortSignal): Promise<void> => {
    const bounds = boundsOf(incrementOf({}))
    const answer = await reader.first(endpoint, bounds, signal)
    if (answer === undefined) return
    recordsOf(endpoint, answer, FIRST, undefined)
    total = integerAt(endpoint, 'total', answer)
    // What an incremental read goes by must not be older than the read: its watermark would pass what came meanwhile.
    if (mode !== 'incremental') reader.keep(endpoint, bounds, answer)
  }

  return {
    async *read(from, signal) {
      if (signal.aborted) return
      const increment = incrementOf(from)
      const start = (from.position as Position | undefined) ?? FIRST
      for await (const read of reader.read(endpoint, start, boundsOf(increment), signal)) {
        const page = await pageOf(read, increment, signal)
        if (page.next === null && increment && mode === 'incremental') tell(increment)
        yield page
      }
    },
    check: first,
    async count(signal) {
      if (endpoint.parent !== undefined || !('total' in endpoint.config.pagination)) return undefined
      if (total === undefined) await first(signal)
      return total === undefined ? undefined : Math.min(total, endpoint.config.max_records ?? Infinity)
    },
    close: () => client.close(),
  }
}

/** What the next run knows a record by: children of two parents may have the same id. */
function known({ id }: SourceRecord, parent: Parent | undefined): string {
  return parent ? JSON.stringify([...Object.values(parent.scope), id]) : id
}

function boundsOf(increment: Increment | undefined): Bounds {
  return increment ? { since: increment.since, until: increment.until, began: increment.began } : {}
}

function onceEach(log: Log): Pick<Log, 'info' | 'warn'> {
  const said = new Set<string>()
  const once = (tell: (message: string) => void) => (message: string) => {
    if (said.has(message)) return
    said.add(message)
    tell(message)
  }
  return { info: once(log.info), warn: once(log.warn) }
}

/** The watermark moves past what was seen: of an API that gives the newest first, the rest would never be read. */
function refuseBounds({ name, config }: Endpoint): void {
  for (const key of ['max_pages', 'max_records'] as const) {
    if (config[key] === undefined) continue
    throw new BizonError(
      'config',
      `source.endpoints.${name}.${key} cannot stand beside sync_mode: incremental: the next run would not go back for the records behind it`,
      { hint: `Leave out ${key}; or, to try the source out, use sync_mode: full_refresh or source.max_iterations.` },
    )
  }
}
