// What `bizon new source` writes: a source that works as it stands, from a sample, and over HTTP once it has an address.

import type { NewFile, NewFiles } from './files.ts'

export function sourceFiles({ name, extension }: NewFiles): readonly NewFile[] {
  const typed = (text: string): string => (extension === 'ts' ? text : '')
  return [
    { path: `${name}.${extension}`, text: sourceText(name, extension, typed) },
    { path: `${name}.test.${extension}`, text: testText(name, extension) },
    { path: `${name}.yml`, text: pipelineText(name, extension) },
  ]
}

type Typed = (text: string) => string

const sourceText = (name: string, extension: string, typed: Typed): string => `\
// The source ${name}. To make it yours: change the keys, the streams, and what is asked of the API.
//
//   node --test ${name}.test.${extension}
//   npx bizon run ${name}.yml

import { defineSource, z } from 'bizon'
${typed(`
type Order = { id: number; total: string; updated_at: string }
type Answer = { orders: Order[]; next: string | null }
type Query = { limit: number; after?: string; updated_after?: string }
`)}
// The keys of this source in a pipeline file. Each description says the unit and the default.
const config = z.strictObject({
  base_url: z.url().optional().describe('Where the API is. Default: none; the sample below answers.'),
  page_size: z.number().int().min(1).max(1000).default(2).describe('Orders to ask for at a time. Default 2.'),
})

export default defineSource({
  summary: 'Orders of a sample API.',
  config,
  // Keys that change how is read, not what: an unfinished run goes on when only these were changed.
  tuning: ['page_size'],
  // incremental: read() can give only what is newer than \`since\`. resumable: a position is good in a later process.
  streams: () => [{ name: 'orders', primaryKey: ['id'], incremental: true, resumable: true }],

  create({ base_url, page_size }, { http }) {
    // It retries, keeps rate limits, follows HTTP_PROXY, and is closed when the run ends.
    const api = base_url === undefined ? undefined : http({ baseUrl: base_url })

    const ask = async (query${typed(': Query')}, signal${typed(': AbortSignal')})${typed(': Promise<Answer>')} => {
      if (!api) return sample(query)
      const { body } = await api.request({ url: '/orders', query }, signal)
      return JSON.parse(body.toString())
    }

    return {
      // Before the first page, and by \`bizon check\`: rejects when reading cannot work.
      async check(signal) {
        await ask({ limit: 1 }, signal)
      },

      // Yields pages until one has \`next: null\`. A position must hold all that is needed to go on after its page.
      async *read({ position, since }, signal) {
        const updated_after = String(position?.updated_after ?? since?.value ?? '')
        let after = String(position?.after ?? '')
        for (;;) {
          const { orders, next } = await ask({ limit: page_size, after, updated_after }, signal)
          const newest = orders.at(-1)?.updated_at // the API sorts by it
          yield {
            records: orders.map((order) => ({ id: String(order.id), data: order, timestamp: order.updated_at })),
            next: next === null ? null : { after: next, updated_after },
            // The next incremental run gets the last one as \`since.value\`.
            ...(newest !== undefined && { watermark: newest }),
          }
          if (next === null) return
          after = next
        }
      },
    }
  },
})

// Stands in for the API: GET /orders?limit=2&after=CURSOR&updated_after=TIME. Remove it once there is a base_url.
function sample({ limit, after = '', updated_after = '' }${typed(': Query')})${typed(': Answer')} {
  const newer = SAMPLE.filter(({ updated_at }) => updated_at > updated_after)
  const start = newer.findIndex(({ id }) => String(id) === after) + 1
  const orders = newer.slice(start, start + limit)
  const last = orders.at(-1)
  return { orders, next: last && start + limit < newer.length ? String(last.id) : null }
}

const SAMPLE${typed(': readonly Order[]')} = [
  { id: 101, total: '19.90', updated_at: '2026-03-01T09:00:00Z' },
  { id: 102, total: '5.00', updated_at: '2026-03-01T09:30:00Z' },
  { id: 103, total: '120.10', updated_at: '2026-03-02T08:15:00Z' },
  { id: 104, total: '7.25', updated_at: '2026-03-02T17:45:00Z' },
  { id: 105, total: '64.00', updated_at: '2026-03-03T11:20:00Z' },
]
`

const testText = (name: string, extension: string): string => `\
// node --test ${name}.test.${extension}

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { verifySource } from 'bizon'
import source from './${name}.${extension}'

// verifySource reads everything, then again from each position, as after a crash there, then since the last watermark.
test('gives every order once, and goes on from each position', async () => {
  const { pages, ids } = await verifySource(source, { stream: 'orders', config: { page_size: 2 } })
  assert.deepEqual(ids, ['101', '102', '103', '104', '105'])
  assert.equal(pages.length, 3)
})

test('gives only what is newer than the watermark of the last run', async () => {
  const { ids } = await verifySource(source, { stream: 'orders', since: '2026-03-02T08:15:00Z' })
  assert.deepEqual(ids, ['104', '105'])
})

test('asks the API for one page after another', async () => {
  const order = { id: 1, total: '1.00', updated_at: '2026-03-01T00:00:00Z' }
  const server = createServer(({ url = '' }, response) => {
    const query = new URL(url, 'http://localhost').searchParams
    const isNew = order.updated_at > (query.get('updated_after') ?? '')
    const first = { orders: [order], next: 'two' }
    const second = { orders: [{ ...order, id: 2 }], next: null }
    const answer = isNew ? (query.get('after') ? second : first) : { orders: [], next: null }
    response.end(JSON.stringify(answer))
  })
  await new Promise((listening) => server.listen(0, '127.0.0.1', () => listening(undefined)))
  try {
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const { ids } = await verifySource(source, { stream: 'orders', config: { base_url: 'http://127.0.0.1:' + port } })
    assert.deepEqual(ids, ['1', '2'])
  } finally {
    server.close()
  }
})
`

const pipelineText = (name: string, extension: string): string => `\
# Reads ${name}.${extension} into ${name}.json; a second run adds only what is new.
#
#   npx bizon run ${name}.yml

name: ${name}

source:
  name: ${name} # a label
  source_file_path: ${name}.${extension}
  stream: orders
  sync_mode: incremental

destination:
  name: file
  config:
    destination_id: ${name} # written to ${name}.json
    metadata: none
`
