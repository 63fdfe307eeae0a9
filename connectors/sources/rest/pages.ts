// From one page to the next: what asks for a page, and where an answer says that the next one is.

import { BizonError } from '../../../lib/errors.ts'
import { isSecretName } from '../../../lib/http/url.ts'
import type { HttpRequest, HttpResponse } from '../../../lib/http.ts'
import { type Found, type LookedUp, parsePath } from '../../../lib/json/path.ts'
import { stringOf } from '../../../lib/json.ts'
import type { Json, JsonObject, RawJson } from '../../../lib/record.ts'
import { REDACTED } from '../../../lib/redact.ts'
import type { PaginationConfig } from './config.ts'
import { type Endpoint, isNull, type ValueName } from './endpoint.ts'
import { linkTo } from './links.ts'
import { withValue } from './template.ts'

/** Where in the pages of one endpoint, for one parent. Survives JSON. */
export interface Spot extends JsonObject {
  /** What asks for the page; null: it is the first. */
  readonly at: JsonObject | null
  /** Pages and records before it. */
  readonly pages: number
  readonly received: number
}

export const FIRST: Spot = { at: null, pages: 0, received: 0 }

export interface Answer {
  readonly found: LookedUp
  readonly response: HttpResponse
  /** As it was asked for. */
  readonly url: URL
  /** What the config adds to the URL of a first page. */
  readonly query: HttpRequest['query']
}

/** The request with what asks for the page. A link is followed as it is. */
export function askFor({ config }: Endpoint, spot: Spot, request: HttpRequest): HttpRequest {
  const { pagination, max_records: most = Infinity } = config
  const { at, received } = spot
  if (typeof at?.url === 'string') {
    const { query, ...rest } = request
    return { ...rest, url: withSecrets(at.url, query) }
  }
  let asking = request
  if ('page_size' in pagination && pagination.page_size !== undefined) {
    const size = pagination.type === 'offset' ? Math.min(pagination.page_size, most - received) : pagination.page_size
    asking = put(asking, pagination, pagination.page_size_param, size)
  }
  switch (pagination.type) {
    case 'cursor':
      return at === null ? asking : put(asking, pagination, pagination.param, at.cursor as string | number)
    case 'page_number':
      return put(asking, pagination, pagination.param, numberAt(at?.page, pagination.first))
    case 'offset':
      return put(asking, pagination, pagination.param, numberAt(at?.offset, 0))
    default:
      return asking
  }
}

function put(request: HttpRequest, pagination: PaginationConfig, param: string, value: string | number): HttpRequest {
  if ('in' in pagination && pagination.in === 'json') {
    return { ...request, json: withValue(request.json, parsePath(param), value) }
  }
  return { ...request, query: { ...request.query, [param]: value } }
}

/** What follows the page at `spot`; null: it is the last. */
export function spotAfter(endpoint: Endpoint, spot: Spot, answer: Answer, hosts: readonly string[]): Spot | null {
  const { max_pages: mostPages = Infinity, max_records: mostRecords = Infinity, stop_when: stop } = endpoint.config
  const items = answer.found.items ?? []
  const [pages, received] = [spot.pages + 1, spot.received + items.length]
  if (pages >= mostPages || received >= mostRecords) return null
  if (stop && textAt(endpoint, 'stop_when', answer.found.values) === String(stop.equals)) return null
  if (isEnd(endpoint, answer.found.values)) return null
  const at = placeAfter(endpoint, spot, answer, received, hosts)
  return at && { at, pages, received }
}

/**
 * What follows the page, as far as an answer tells before its records are looked at; null: it does not. Only where what
 * asks for the next page depends on nothing else.
 */
export function spotAhead(
  endpoint: Endpoint,
  spot: Spot,
  answer: Omit<Answer, 'found'>,
  hosts: readonly string[],
): Spot | null {
  const { pagination, max_records: mostRecords } = endpoint.config
  const isToken = pagination.type === 'cursor' && pagination.last_record === undefined
  const isLink = pagination.type === 'next_link' || pagination.type === 'link_header'
  if (mostRecords !== undefined || !(isToken || isLink)) return null
  const values = endpoint.glance(answer.response.body)
  if (values === undefined) return null
  try {
    return spotAfter(endpoint, spot, { ...answer, found: { values } }, hosts)
  } catch {
    return null // said when all of the answer is read
  }
}

const PARAMETER = /([?&;])([^=&;#]+)=([^&;#]*)/g

/** A link often repeats the key that it was asked with; a position is stored where no secret may be. */
function withoutSecrets(url: string, query: HttpRequest['query'] = {}): string {
  return url.replace(PARAMETER, (whole, before: string, name: string, value: string) =>
    isSecretName(name) && [value, decoded(value)].includes(String(query[name]))
      ? `${before}${name}=${REDACTED}`
      : whole,
  )
}

function withSecrets(url: string, query: HttpRequest['query'] = {}): string {
  return url.replace(PARAMETER, (whole, before: string, name: string, value: string) =>
    value === REDACTED && query[name] !== undefined
      ? `${before}${name}=${encodeURIComponent(String(query[name]))}`
      : whole,
  )
}

function decoded(value: string): string {
  return new URLSearchParams(`v=${value}`).get('v') ?? value
}

function isEnd(endpoint: Endpoint, values: Found): boolean {
  const { pagination } = endpoint.config
  if ('has_more' in pagination && pagination.has_more !== undefined) {
    if (!isTrue(endpoint.value('has_more', values))) return true
  }
  if (!('is_last' in pagination) || pagination.is_last === undefined) return false
  const last = endpoint.value('is_last', values)
  return last === undefined ? endpoint.missingLast === 'ends' : isTrue(last)
}

/** Whether the answer says itself that more follows. */
function saysMore(endpoint: Endpoint, values: Found): boolean {
  const last = endpoint.value('is_last', values)
  return isTrue(endpoint.value('has_more', values)) || (last !== undefined && !isTrue(last))
}

/** What should say whether more follows, and is not in the answer; undefined: it is, or the answer has no records. */
export function silentKey(
  { config, value }: Endpoint,
  { found, response }: Answer,
): { key: string; path: string } | undefined {
  if (!found.items?.length) return undefined
  const { pagination } = config
  const link = pagination.type === 'link_header' ? response.headers.link : undefined
  if (pagination.type === 'link_header' && link?.includes('rel=')) return { key: 'rel', path: pagination.rel }
  const paths: Readonly<Record<string, unknown>> = config.pagination
  const key = (['has_more', 'cursor', 'next'] as const).find(
    (name) => typeof paths[name] === 'string' && value(name, found.values) === undefined,
  )
  return key && { key, path: paths[key] as string }
}

function isTrue(raw: RawJson | undefined): boolean {
  return raw !== undefined && !/^(?:false|null|0|"(?:false|0|)")$/i.test(raw.toString())
}

function placeAfter(
  endpoint: Endpoint,
  { at }: Spot,
  answer: Answer,
  received: number,
  hosts: readonly string[],
): JsonObject | null {
  const { pagination } = endpoint.config
  const { values, items = [] } = answer.found
  const noMore = (): null => {
    if (saysMore(endpoint, values)) throw unusable(answer, 'the page is empty, and yet says that more follows')
    return null
  }
  const noNext = (what: string): null => {
    if (saysMore(endpoint, values))
      throw unusable(answer, `it says that more follows, but not ${what} of the next page`)
    return null
  }
  switch (pagination.type) {
    case 'none':
      return null
    case 'cursor': {
      const last = items.at(-1)
      if (pagination.last_record !== undefined && last === undefined) return noMore()
      const token = last && pagination.last_record !== undefined ? endpoint.field.lastRecord(last.fields) : undefined
      if (pagination.last_record !== undefined && (token === undefined || isNull(token))) {
        throw unusable(answer, `the last record has nothing at ${pagination.last_record}`)
      }
      const cursor = tokenOf(token ?? endpoint.value('cursor', values), answer)
      return cursor === undefined ? noNext('the token') : { cursor }
    }
    case 'next_link':
    case 'link_header': {
      const url = linkTo(pagination, textAt(endpoint, 'next', values), answer, hosts)
      return url === undefined ? noNext('the URL') : { url: withoutSecrets(url, answer.query) }
    }
    case 'page_number': {
      const page = numberAt(at?.page, pagination.first)
      const pages = integerAt(endpoint, 'total_pages', answer)
      if (pages !== undefined && page - pagination.first + 1 >= pages) return null
      if (received >= (integerAt(endpoint, 'total', answer) ?? Infinity)) return null
      // Some pages may be empty because their records are filtered out.
      if (items.length === 0 && pages === undefined && !saysMore(endpoint, values)) return null
      return { page: page + 1 }
    }
    case 'offset': {
      const offset = numberAt(at?.offset, 0) + items.length
      if (offset >= (integerAt(endpoint, 'total', answer) ?? Infinity)) return null
      return items.length === 0 ? noMore() : { offset }
    }
  }
}

/** A token as it came: a string, or a number that JSON keeps. */
function tokenOf(raw: RawJson | undefined, answer: Answer): string | number | undefined {
  if (raw === undefined || isNull(raw)) return undefined
  const text = stringOf(raw)
  if (text !== undefined) return text === '' ? undefined : text
  const json = raw.toString()
  if (!/^-?\d/.test(json))
    throw unusable(answer, `the token of the next page is neither a string nor a number: ${json.slice(0, 60)}`)
  return String(Number(json)) === json ? Number(json) : json
}

function textAt(endpoint: Endpoint, name: ValueName, values: Found): string | undefined {
  const raw = endpoint.value(name, values)
  return raw && !isNull(raw) ? (stringOf(raw) ?? raw.toString()) : undefined
}

/** A count that the answer says; undefined: it says none. */
export function integerAt(endpoint: Endpoint, name: ValueName, answer: Answer): number | undefined {
  const text = textAt(endpoint, name, answer.found.values)
  if (text === undefined) return undefined
  if (!/^\d+$/.test(text)) throw unusable(answer, `${name} is no whole number: ${text.slice(0, 60)}`)
  return Number(text)
}

function numberAt(value: Json | undefined, fallback: number): number {
  return typeof value === 'number' ? value : fallback
}

function unusable({ response }: Answer, what: string): BizonError {
  return new BizonError('source', `${response.url}: ${what}`, { hint: 'Check `pagination` of the endpoint.' })
}
