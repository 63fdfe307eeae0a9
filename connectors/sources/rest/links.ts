// Links to a next page. They come from outside, so they may only lead to where the config sends us anyway: else an
// answer could have the program ask any host, with what identifies its caller.

import { BizonError } from '../../../lib/errors.ts'
import { hideSecrets } from '../../../lib/http/url.ts'
import type { PaginationConfig } from './config.ts'
import type { Answer } from './pages.ts'

/** The absolute URL that the answer links to; undefined: to none. */
export function linkTo(
  pagination: PaginationConfig,
  inBody: string | undefined,
  { response, url }: Answer,
  hosts: readonly string[],
): string | undefined {
  const link = pagination.type === 'link_header' ? headerLink(response.headers.link ?? '', pagination.rel) : inBody
  if (link === undefined || link === '') return undefined
  return followed(link, url, hosts, 'the next page')
}

/** The absolute URL of a link found at `url`. `what`: what it is a link to. */
export function followed(link: string, url: URL, hosts: readonly string[], what: string): string {
  const refused = (why: string, hint?: string): BizonError => {
    const said = `${hideSecrets(url.href)}: ${what} is ${hideSecrets(link)}, ${why}; not followed`
    return new BizonError('source', said, { hint })
  }
  if (!URL.canParse(link, url.href)) throw refused('which is no URL')
  const target = new URL(link, url)
  // An API behind a proxy that ends TLS takes itself for http.
  const sameHost = target.hostname === url.hostname && target.port === '' && url.port === ''
  if (sameHost && target.protocol === 'http:' && url.protocol === 'https:') target.protocol = 'https:'
  if (target.username !== '' || target.password !== '') throw refused('which names a user')
  if (target.origin !== url.origin && !isAllowed(target, url, hosts)) {
    const hint = `If that host is right, add ${target.host} to source.allow_hosts.`
    throw refused(`on another host, ${target.host}`, hint)
  }
  target.hash = ''
  return target.href
}

function isAllowed(target: URL, from: URL, hosts: readonly string[]): boolean {
  const isWeb = target.protocol === 'https:' || (target.protocol === 'http:' && from.protocol === 'http:')
  return isWeb && hosts.some((host) => host === target.host || host === target.hostname)
}

/** The target of a relation in a `Link` header (RFC 8288). */
export function headerLink(header: string, rel: string): string | undefined {
  for (const [, target, parameters = ''] of header.matchAll(
    /<([^>]*)>((?:\s*;\s*[^\s=;,]+\s*(?:=\s*(?:"[^"]*"|[^\s;,"]*))?)*)/g,
  )) {
    // One parameter after the other: what is inside the quotes of a title is no relation.
    const all = [...parameters.matchAll(/;\s*([^\s=;,]+)\s*(?:=\s*(?:"([^"]*)"|([^\s;,"]*)))?/g)]
    const found = all.find(([, name]) => name?.toLowerCase() === 'rel')
    const relations = (found?.[2] ?? found?.[3] ?? '').toLowerCase().split(/\s+/)
    if (relations.includes(rel.toLowerCase())) return target
  }
  return undefined
}
