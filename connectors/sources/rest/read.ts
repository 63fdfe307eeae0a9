// Reads an endpoint page by page, and for a child endpoint page by page of each record of its parent. A position
// holds the parent's, so that a resume goes on in the middle of one parent's children.

import { isUtf8 } from 'node:buffer'
import { cursorOf, writeCursor, writeMoment } from '../../../lib/cursor.ts'
import { BizonError } from '../../../lib/errors.ts'
import { urlOf } from '../../../lib/http/url.ts'
import { type HttpClient, HttpError, type HttpRequest, type HttpResponse } from '../../../lib/http.ts'
import type { LookedUp } from '../../../lib/json/path.ts'
import type { Log } from '../../../lib/log.ts'
import type { Json } from '../../../lib/record.ts'
import { Ahead, type Arrived } from './ahead.ts'
import { Circle, goesRound, Repeats } from './endless.ts'
import type { Endpoint } from './endpoint.ts'
import { followed } from './links.ts'
import { type Answer, askFor, FIRST, type Spot, silentKey, spotAfter, spotAhead } from './pages.ts'
import { excerpt, type Parent, parentOf } from './records.ts'
import { fill, fillPath } from './template.ts'

/** A place in an endpoint's pages, its parent's included. Survives JSON. */
export interface Place extends Spot {
  readonly parent?: {
    readonly [key: string]: Json
    /** Where the parent's page is. */
    readonly page: Place
    /** Records of that page whose children were all read: by then others may have come between them. */
    readonly done: readonly string[]
    /** The one in whose children the place is; null: those of the next one were not begun. */
    readonly inside: string | null
  }
}

export interface Read {
  /** Undefined: there was nothing to ask for. */
  readonly answer: Answer | undefined
  readonly parent: Parent | undefined
  /** Of this page, and of the one that follows; null: it was the last. */
  readonly here: Place
  readonly next: Place | null
}

/** What a cursor field adds to a request. */
export interface Bounds {
  readonly since?: string | undefined
  readonly until?: string | undefined
  /** When the read began. */
  readonly began?: Date | undefined
}

export interface Api {
  readonly client: HttpClient
  readonly baseUrl: string
  /** Hosts that a link may lead to beside that of the API. */
  readonly hosts: readonly string[]
  /** Says something once, however often it is told. */
  readonly log: Pick<Log, 'info' | 'warn'>
  /** Whether a page may be asked for before the one before it is taken. */
  readonly readAhead: boolean
}

export class Reader {
  readonly #api: Api
  /** The first answer, kept by a check for the read that follows it. */
  #kept: { readonly asked: string; readonly answer: Answer } | undefined

  constructor(api: Api) {
    this.#api = api
  }

  /** From the place on; `bounds` are those of the endpoint itself, its parents are read whole. */
  async *read(endpoint: Endpoint, from: Place, bounds: Bounds, signal: AbortSignal): AsyncGenerator<Read, void, void> {
    const { parent } = endpoint
    if (parent === undefined) yield* this.#pages(endpoint, from, undefined, bounds, signal)
    else yield* this.#children(endpoint, parent, from, bounds, signal)
  }

  /** Asks for the first page, which the next read need not ask for again. */
  async first(endpoint: Endpoint, bounds: Bounds, signal: AbortSignal): Promise<Answer | undefined> {
    const alone = new Reader({ ...this.#api, readAhead: false })
    for await (const { answer } of alone.read(endpoint, FIRST, bounds, signal)) return answer
    return undefined
  }

  async *#pages(
    endpoint: Endpoint,
    from: Spot,
    parent: Parent | undefined,
    bounds: Bounds,
    signal: AbortSignal,
  ): AsyncGenerator<Read, void, void> {
    const circle = new Circle()
    const repeats = new Repeats(endpoint)
    if (from.at) circle.closes(from.at)
    if (from.received >= (endpoint.config.max_records ?? Infinity)) {
      yield { answer: undefined, parent, here: from, next: null } // the bound was lowered meanwhile
      return
    }
    const { hosts, readAhead } = this.#api
    const ahead = new Ahead(
      {
        ask: (spot, inner, arrived) => this.#ask(endpoint, spot, parent, bounds, inner, arrived),
        guess: (spot, answer) => {
          const next = readAhead ? spotAhead(endpoint, spot, answer, hosts) : null
          return next?.at && circle.knows(next.at) ? null : next
        },
      },
      signal,
    )
    try {
      for (let spot: Spot | null = from; spot !== null; ) {
        const answer = await ahead.take(spot)
        const next = spotAfter(endpoint, spot, answer, hosts)
        repeats.check(answer)
        if (next === null && spot.at === null) this.#tellSilence(endpoint, answer)
        if (next?.at && circle.closes(next.at)) throw goesRound(answer, next.at)
        // The next page is on its way while this one is written.
        if (next && readAhead) ahead.follow(next)
        yield { answer, parent, here: spot, next }
        spot = next
      }
    } finally {
      await ahead.close()
    }
  }

  /** A path that is misspelt looks like an API that has one page. */
  #tellSilence(endpoint: Endpoint, answer: Answer): void {
    const silent = silentKey(endpoint, answer)
    if (silent === undefined) return
    const { key, path } = silent
    this.#api.log.warn(
      `stream ${endpoint.name}: the first answer has nothing at ${path}, so that it counts as the only page; if more follow, pagination.${key} is wrong`,
    )
  }

  async *#children(
    endpoint: Endpoint,
    parent: Endpoint,
    from: Place,
    bounds: Bounds,
    signal: AbortSignal,
  ): AsyncGenerator<Read, void, void> {
    let resumed: Place['parent'] = from.parent
    let start: Spot = { at: from.at, pages: from.pages, received: from.received }
    const parents = this.read(parent, resumed?.page ?? FIRST, boundsOfParent(parent, bounds), signal)
    for await (const { answer, here: page, next: nextPage } of parents) {
      const items = answer?.found.items ?? []
      const all = answer ? items.map((item) => parentOf(parent, endpoint, item, answer)) : []
      const done = [...(resumed?.done ?? [])]
      const left = resumed ? leftOf(resumed, all, endpoint) : all
      resumed = undefined
      const behind = nextPage && { ...FIRST, parent: { page: nextPage, done: [], inside: null } }
      for (const [index, one] of left.entries()) {
        const isLast = index === left.length - 1
        const place = { page, done: [...done], inside: one.key }
        done.push(one.key)
        const after = isLast ? behind : { ...FIRST, parent: { page, done: [...done], inside: null } }
        for await (const child of this.#childrenOf(endpoint, start, one, bounds, signal)) {
          const here = { ...child.here, parent: place }
          yield { ...child, here, next: child.next ? { ...child.next, parent: place } : after }
        }
        start = FIRST
      }
      // Without children nobody has said yet that this was the last.
      if (left.length === 0 && nextPage === null) {
        const here = { ...FIRST, parent: { page, done, inside: null } }
        yield { answer: undefined, parent: undefined, here, next: null }
      }
    }
  }

  /** Of a record of the parent that may have gone since it was listed. */
  async *#childrenOf(
    endpoint: Endpoint,
    start: Spot,
    parent: Parent,
    bounds: Bounds,
    signal: AbortSignal,
  ): AsyncGenerator<Read, void, void> {
    try {
      yield* this.#pages(endpoint, start, parent, bounds, signal)
    } catch (error) {
      if (start.at !== null || !(error instanceof HttpError) || !MISSING.includes(error.status ?? 0)) throw error
      if (endpoint.config.parent?.on_missing !== 'skip') throw missing(error, endpoint)
      this.#api.log.warn(`stream ${endpoint.name}: ${error.message}; left out, as on_missing: skip says`)
      yield { answer: undefined, parent, here: start, next: null }
    }
  }

  async #ask(
    endpoint: Endpoint,
    spot: Spot,
    parent: Parent | undefined,
    bounds: Bounds,
    signal: AbortSignal,
    arrived?: (answer: Arrived) => Promise<void>,
  ): Promise<Answer> {
    const { client, baseUrl } = this.#api
    const first = requestOf(endpoint, parent, bounds)
    const request = askFor(endpoint, spot, first)
    const asked = JSON.stringify(request)
    const kept = this.#kept
    this.#kept = undefined
    if (kept?.asked === asked) return kept.answer
    const url = urlOf(request, baseUrl)
    let found: LookedUp | undefined
    const validate = async (response: HttpResponse): Promise<void> => {
      await arrived?.({ response, url, query: first.query })
      found = response.status === NO_CONTENT ? EMPTY : endpoint.read(response.body)
      if (found.invalidAt === response.body.length) throw cutOff(response)
    }
    const response = await client.request({ ...request, validate }, signal).catch((error: unknown) => {
      const mayExpire = spot.at !== null && ('url' in spot.at || 'cursor' in spot.at)
      throw mayExpire && error instanceof HttpError && GONE.includes(error.status ?? 0) ? gone(error) : error
    })
    const answer: Answer = { found: found as LookedUp, response, url, query: first.query }
    checkList(endpoint, answer)
    return answer
  }

  /** What one link leads to, an answer of the endpoint; `from`: where the link was found. */
  async follow(endpoint: Endpoint, link: string, from: string, signal: AbortSignal): Promise<Answer> {
    const url = followed(link, new URL(from), this.#api.hosts, 'one link')
    return this.#ask(endpoint, { ...FIRST, at: { url } }, undefined, {}, signal)
  }

  /** Keeps an answer for a read that asks for the same. */
  keep(endpoint: Endpoint, bounds: Bounds, answer: Answer): void {
    const request = askFor(endpoint, FIRST, requestOf(endpoint, undefined, bounds))
    if (endpoint.parent === undefined) this.#kept = { asked: JSON.stringify(request), answer }
  }
}

function requestOf({ config }: Endpoint, parent: Parent | undefined, { since, until }: Bounds): HttpRequest {
  const { path, method, params, headers, json, repeatable, incremental } = config
  const scope = { ...parent?.scope, ...(since !== undefined && { since }), ...(until !== undefined && { until }) }
  const query: Record<string, string | number | boolean | (string | number | boolean)[] | undefined> = fill(
    params,
    scope,
  )
  if (incremental?.param !== undefined && since !== undefined) query[incremental.param] = since
  if (incremental?.end_param !== undefined && until !== undefined) query[incremental.end_param] = until
  return {
    url: fillPath(path, scope),
    ...(method && { method }),
    query,
    headers,
    ...(json !== undefined && { json: fill(json, scope) }),
    repeatable,
  }
}

/** Parents are read whole: from where the first run of theirs would begin, to the time at which this one began. */
function boundsOfParent({ config: { incremental } }: Endpoint, { began }: Bounds): Bounds {
  if (!incremental) return { began }
  const { format, start_value: startValue } = incremental
  const like = startValue === undefined ? undefined : cursorOf(startValue)
  const since = like && writeCursor(like, format)
  return { since, until: writeMoment(began ?? new Date(), like, format), began }
}

/** The records of the parent's page that a resume goes on with: first the one in whose children it is. */
function leftOf({ done, inside }: NonNullable<Place['parent']>, all: readonly Parent[], endpoint: Endpoint): Parent[] {
  const left = [...all]
  const take = (key: string): Parent | undefined => {
    const at = left.findIndex((one) => one.key === key)
    return at < 0 ? undefined : left.splice(at, 1)[0]
  }
  for (const key of done) take(key)
  if (inside === null) return left
  const one = take(inside)
  if (one) return [one, ...left]
  throw new BizonError(
    'source',
    `stream ${endpoint.name}: the record of ${endpoint.parent?.name} whose children were being read is not on its page any more`,
    { hint: START_OVER },
  )
}

function checkList(endpoint: Endpoint, { found, response }: Answer): void {
  const fail = (what: string, hint: string): BizonError =>
    new BizonError('source', `${response.url}: ${what}; the answer begins ${excerpt(response.body)}`, { hint })
  if (found.invalidAt !== undefined)
    throw fail(`no JSON, from byte ${found.invalidAt + 1} on`, 'Check base_url and path.')
  if (!isUtf8(response.body)) throw fail('not UTF-8', 'JSON is UTF-8; the API must be mended.')
  if (found.items !== undefined) return
  const { records, single } = endpoint.config
  const wanted = single ? 'object' : 'list'
  const where = records === '.' ? 'the answer' : `at ${records}`
  const what = found.list === undefined ? `there is no ${wanted} ${where}` : `${where} is no ${wanted}`
  throw fail(what, `Check source.endpoints.${endpoint.name}.records; bizon check FILE --sample 1 tries it.`)
}

/** Says that there are no records, and has no body to say it with. */
const NO_CONTENT = 204
const EMPTY: LookedUp = { values: [], items: [] }

/** What APIs answer for what was there and is not any more. */
const MISSING: readonly number[] = [404, 410]

function missing(error: HttpError, { name, parent }: Endpoint): BizonError {
  const { message } = error
  return new BizonError(
    'source',
    `${message}; asked for a record of ${parent?.name}, which may have been deleted since`,
    {
      hint: `If that may be, set source.endpoints.${name}.parent.on_missing to skip; else check its path.`,
      cause: error,
    },
  )
}

const START_OVER = 'Start over: set source.force_ignore_checkpoint to true for one run.'
/** What APIs answer for a token or a link that has expired. */
const GONE: readonly number[] = [400, 404, 410, 422]

function gone(error: HttpError): BizonError {
  return new BizonError(
    'source',
    `${error.message}; this page was reached by the one before, so its token or link may have expired`,
    {
      hint: START_OVER,
      cause: error,
    },
  )
}

function cutOff({ url, body }: HttpResponse): BizonError {
  const what =
    body.length === 0 ? 'the answer is empty' : `the JSON of the answer is cut off after ${body.length} bytes`
  return new BizonError('source', `${url}: ${what}`, { retriable: true })
}
