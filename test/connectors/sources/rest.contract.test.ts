// Each way of paging, and children, under the suite that every source passes.

import rest from '../../../connectors/sources/rest.ts'
import type { JsonObject } from '../../../lib/record.ts'
import { sourceContract } from '../../contract/source.ts'
import { type Asked, FaultServer } from '../../support/fault-server.ts'
import { openSource } from '../../support/rest.ts'

const COUNT = 45
const SIZE = 20
const rows = Array.from({ length: COUNT }, (_, n) => ({ id: n + 1, name: `row ${n + 1} é "quoted"` }))
const ids = rows.map(({ id }) => String(id))
const from = (start: number): typeof rows => rows.slice(start, start + SIZE)

interface Kind {
  readonly pagination: JsonObject
  readonly endpoint?: JsonObject
  answer(asked: Asked, url: string): { json: unknown; headers?: Readonly<Record<string, string>> }
}

const kinds: Readonly<Record<string, Kind>> = {
  none: { pagination: { type: 'none' }, answer: () => ({ json: { items: rows } }) },
  'cursor in the query': {
    pagination: { type: 'cursor', cursor: 'meta.next', param: 'after' },
    answer({ query }) {
      const start = Number(String(query.after ?? 't0').slice(1))
      return { json: { items: from(start), meta: { next: start + SIZE < COUNT ? `t${start + SIZE}` : null } } }
    },
  },
  'cursor in the body of a POST': {
    pagination: {
      type: 'cursor',
      cursor: 'next',
      param: 'page.after',
      in: 'json',
      page_size: SIZE,
      page_size_param: 'page.size',
    },
    endpoint: { json: { filter: 'all' } },
    answer({ body }) {
      const { page } = JSON.parse(body)
      const start = page.after ?? 0
      return {
        json: { items: rows.slice(start, start + page.size), ...(start + SIZE < COUNT && { next: start + SIZE }) },
      }
    },
  },
  'cursor from the last record': {
    pagination: { type: 'cursor', last_record: 'id', param: 'starting_after', has_more: 'has_more' },
    answer({ query }) {
      const start = Number(query.starting_after ?? 0)
      return { json: { items: from(start), has_more: start + SIZE < COUNT } }
    },
  },
  'next link': {
    pagination: { type: 'next_link', next: 'links.next' },
    answer({ query }, url) {
      const start = Number(query.start ?? 0)
      const next = start + SIZE < COUNT ? `${url}/items?start=${start + SIZE}` : null
      return { json: { items: from(start), links: { next } } }
    },
  },
  'Link header': {
    pagination: { type: 'link_header' },
    answer({ query }) {
      const start = Number(query.start ?? 0)
      const link = `</items?start=0>; rel="first", </items?start=${start + SIZE}>; rel="next"`
      return { json: { items: from(start) }, ...(start + SIZE < COUNT && { headers: { link } }) }
    },
  },
  'page number': {
    pagination: { type: 'page_number', page_size: SIZE, page_size_param: 'per_page' },
    endpoint: { resumable: true },
    answer: ({ query }) => ({ json: { items: from((Number(query.page) - 1) * SIZE) } }),
  },
  offset: {
    pagination: { type: 'offset', page_size: SIZE, total: 'total' },
    endpoint: { resumable: true },
    answer: ({ query }) => ({ json: { items: from(Number(query.offset)), total: COUNT } }),
  },
}

for (const [name, kind] of Object.entries(kinds)) {
  sourceContract(`rest: ${name}`, async () => {
    const api = await FaultServer.start()
    api.on('/items', (asked) => kind.answer(asked, api.url))
    const endpoint = { path: 'items', records: 'items', id: 'id', pagination: kind.pagination, ...kind.endpoint }
    const open = (path: string) =>
      openSource(rest, { base_url: api.url, endpoints: { items: { ...endpoint, path } } }, 'items')
    return {
      open: () => open('items'),
      openBroken: () => open('nothing-here'),
      ids,
      resumable: true,
      maxPageBytes: 4000,
      dispose: () => api.close(),
    }
  })
}

sourceContract('rest: children', async () => {
  const api = await FaultServer.start()
  const shops = ['a', 'b/c', 'empty', 'd', 'none']
  const sizes: Readonly<Record<string, number>> = { a: 5, 'b/c': 1, d: 3 }
  api.on('/shops', ({ query }) => {
    const start = Number(query.offset)
    return { json: shops.slice(start, start + 2).map((code) => ({ code })) }
  })
  for (const shop of shops) {
    api.on(`/shops/${encodeURIComponent(shop)}/orders`, ({ query }) => {
      const page = Number(query.page)
      const orders = Array.from({ length: sizes[shop] ?? 0 }, (_, n) => ({ id: `${shop}-${n}` }))
      return { json: { orders: orders.slice((page - 1) * 2, page * 2), pages: Math.ceil(orders.length / 2) } }
    })
  }
  const endpoints = {
    shops: { path: 'shops', id: 'code', pagination: { type: 'offset' } },
    orders: {
      path: 'shops/{shop}/orders',
      records: 'orders',
      id: 'id',
      pagination: { type: 'page_number', total_pages: 'pages' },
      parent: { stream: 'shops', fields: { shop: 'code' } },
    },
  }
  return {
    open: () => openSource(rest, { base_url: api.url, endpoints }, 'orders'),
    ids: shops.flatMap((shop) => Array.from({ length: sizes[shop] ?? 0 }, (_, n) => `${shop}-${n}`)),
    resumable: true,
    maxPageBytes: 4000,
    dispose: () => api.close(),
  }
})
