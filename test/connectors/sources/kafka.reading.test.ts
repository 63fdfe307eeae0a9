// Where reads of Kafka begin, go on and end, on a broker that does what real ones do rarely.

import { expect, test, vi } from 'vitest'
import { type ReadParts, readBounded } from '../../../connectors/sources/kafka/bounded.ts'
import type { BoundsOptions, LOST } from '../../../connectors/sources/kafka/bounds.ts'
import { Commits } from '../../../connectors/sources/kafka/commits.ts'
import { type DecodingOptions, openDecoding } from '../../../connectors/sources/kafka/decoding.ts'
import { Gathering } from '../../../connectors/sources/kafka/gathering.ts'
import { readStream } from '../../../connectors/sources/kafka/stream.ts'
import { BizonError } from '../../../lib/errors.ts'
import { createHttp } from '../../../lib/http.ts'
import { textOf } from '../../../lib/record.ts'
import type { Page, Position, Start } from '../../../lib/source.ts'
import { never } from '../../../lib/wait.ts'
import { FakeBroker } from '../../support/fake-broker.ts'
import { message } from '../../support/kafka-decoding.ts'
import { messagesOf } from '../../support/kafka-messages.ts'
import { listeningLog } from '../../support/table-source.ts'

const decoding = {
  message_encoding: 'utf-8',
  key_encoding: 'json',
  schema_id_bytes: 'auto',
  include_schema: false,
  duplicate_headers: 'last',
  debezium: 'envelope',
  skip_message_empty_value: true,
  skip_message_invalid_keys: false,
  skip_message_on_decode_error: false,
  topics: [],
} satisfies DecodingOptions

interface Given {
  readonly topics?: readonly string[]
  readonly lost?: (typeof LOST)[number]
  readonly batch_size?: number
  readonly skip?: boolean
}

function partsOf(broker: FakeBroker, { topics = ['t'], lost = 'fail', batch_size = 4, skip = false }: Given = {}) {
  const log = listeningLog()
  const { records } = openDecoding({ ...decoding, skip_message_on_decode_error: skip }, { http: createHttp(), log })
  const bounds: BoundsOptions = { topics, lost, log }
  const parts: ReadParts = {
    broker,
    records,
    bounds,
    pages: { batch_size, page_bytes: 1e6 },
    fetch: { maxBytes: 1e6, maxWaitMs: 1, patienceSeconds: 1 },
  }
  return { ...parts, log, group: 'g', first: 'earliest' as const, lookMs: 0 }
}

const bounded = async (broker: FakeBroker, from: Start = {}, given?: Given): Promise<Page[]> => {
  const pages: Page[] = []
  for await (const page of readBounded(partsOf(broker, given), from, never)) pages.push(page)
  return pages
}

const idsOf = (pages: readonly Page[]): string[] => pages.flatMap(({ records }) => records.map(({ id }) => id))
const ids = (partition: number, from: number, to: number, topic = 't'): string[] =>
  Array.from({ length: to - from }, (_, i) => `${topic}/${partition}/${from + i}`)
const saved = (json: unknown): Position => JSON.parse(JSON.stringify(json)) as Position
const shown = ({ records, next }: Page) => ({ records: records.map(({ id, data }) => [id, textOf(data)]), next })
const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

/** What a stream gives up to so many records; the broker is acted on before each page. */
async function streamed(
  broker: FakeBroker,
  count: number,
  from: Start = {},
  act = (_: number): void => {},
  given?: Given & { first?: 'latest' },
) {
  const parts = { ...partsOf(broker, given), ...(given?.first && { first: given.first }) }
  const stop = new AbortController()
  const pages: Page[] = []
  setTimeout(() => stop.abort(), 5000).unref()
  for await (const page of readStream(parts, from, stop.signal)) {
    pages.push(page)
    if (idsOf(pages).length >= count) break
    act(pages.length)
  }
  return { pages, said: parts.log.said }
}

test('several partitions: nothing twice, nothing missing, and from every position the same pages', async () => {
  const broker = new FakeBroker()
  for (const partition of [0, 1, 2]) broker.add('t', partition, ...numbers(7 + partition))
  broker.add('u', 0, ...numbers(5))
  const topics = ['t', 'u']
  const pages = await bounded(broker, {}, { topics })
  expect(idsOf(pages)).toEqual([...ids(0, 0, 7), ...ids(1, 0, 8), ...ids(2, 0, 9), ...ids(0, 0, 5, 'u')])
  expect(pages.map(({ next }) => next === null)).toEqual(pages.map((_, i) => i === pages.length - 1))
  for (const [i, { next }] of pages.entries()) {
    if (next === null) continue
    broker.perFetch = 1 + (i % 4)
    const rest = await bounded(broker, { position: saved(next) }, { topics })
    expect(rest.map(shown)).toEqual(pages.slice(i + 1).map(shown))
  }
})

test('it ends where it began to end, whatever comes meanwhile, also in a later process', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, ...numbers(6))
  const read = readBounded(partsOf(broker), {}, never)
  const first = (await read.next()).value as Page
  await read.return()
  broker.add('t', 0, ...numbers(9))
  broker.add('t', 1, ...numbers(9))
  expect(first.next).toEqual({ topics: { t: { 0: [4, 6] } } })
  expect(idsOf(await bounded(broker, { position: saved(first.next) }))).toEqual(ids(0, 4, 6))
})

test('offsets that are no messages, in the middle and at the end, do not keep it from ending', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, '0', null, null, '3', null)
  broker.add('t', 1, null, null)
  broker.silent = 2
  expect(idsOf(await bounded(broker))).toEqual(['t/0/0', 't/0/3'])
})

test('a page of tombstones, or of messages that are left out, is no end', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, '', '', '', '', 'oops', 'oops', 'oops', 'oops', '8', '9')
  const pages = await bounded(broker, {}, { skip: true })
  expect(idsOf(pages)).toEqual(['t/0/8', 't/0/9'])
  expect(pages.map(({ records }) => records.length)).toEqual([0, 0, 2])
})

test('a page is full by the bytes of its headers, too', () => {
  const gathering = new Gathering({ batch_size: 10, page_bytes: 100 })
  const small = { one: Buffer.alloc(40), none: null }
  gathering.add('t', 0, messagesOf([message({ headers: small })]), 0)
  expect(gathering.full).toBe(false)
  const large = message({ headers: { ...small, two: [Buffer.alloc(10), null, Buffer.alloc(10)] } })
  gathering.add('t', 0, messagesOf([large]), 0)
  expect(gathering.full).toBe(true)
})

test('an empty topic is read in one page', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0)
  expect(await bounded(broker)).toEqual([
    { records: [], bytes: 0, release: expect.any(Function), next: null, watermark: { topics: { t: { 0: 0 } } } },
  ])
})

test('it begins at the first message that is still there', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, ...numbers(6))
  broker.delete('t', 0, 4)
  expect(idsOf(await bounded(broker))).toEqual(ids(0, 4, 6))
})

test('incremental: from where the last run ended, new partitions and topics from their beginning', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, ...numbers(6))
  const value = saved((await bounded(broker)).at(-1)?.watermark)
  expect(value).toEqual({ topics: { t: { 0: 6 } } })
  const since = { time: new Date(0), value }
  expect(idsOf(await bounded(broker, { since }))).toEqual([])
  broker.add('t', 0, '6', '7')
  broker.add('t', 1, '0')
  broker.add('u', 0, '0')
  const pages = await bounded(broker, { since }, { topics: ['t', 'u'] })
  expect(idsOf(pages)).toEqual(['t/0/6', 't/0/7', 't/1/0', 'u/0/0'])
  expect(pages.at(-1)?.watermark).toEqual({ topics: { t: { 0: 8, 1: 1 }, u: { 0: 1 } } })
})

test('incremental after a run that left no offsets: by the time of the messages', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, ...numbers(6))
  expect(idsOf(await bounded(broker, { since: { time: new Date(2000) } }))).toEqual(ids(0, 2, 6))
})

test('messages that were deleted before they were read are an error that says how many, or passed over', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, ...numbers(9))
  broker.delete('t', 0, 6)
  const from = { position: { topics: { t: { 0: [2, 8] } } } }
  const error = await bounded(broker, from).catch((thrown) => thrown)
  expect(error).toBeInstanceOf(BizonError)
  expect(error.message).toBe(
    't/0: the 4 messages from offset 2 to 5 are lost: deleted from the topic before they were read',
  )
  expect(error.hint).toContain('source.auto_offset_reset')
  expect(idsOf(await bounded(broker, from, { lost: 'earliest' }))).toEqual(ids(0, 6, 8))
  expect(idsOf(await bounded(broker, from, { lost: 'latest' }))).toEqual([])
  const stream = { position: { topics: { t: { 0: 2 } } } }
  await expect(streamed(broker, 1, stream)).rejects.toThrow('the 4 messages from offset 2 to 5 are lost')
  const { pages, said } = await streamed(broker, 3, stream, undefined, { lost: 'earliest' })
  expect(idsOf(pages)).toEqual(ids(0, 6, 9))
  expect(said[0]).toContain(
    'the 4 messages from offset 2 to 5 are lost: deleted from the topic before they were read; goes on at offset 6',
  )
})

test('a topic that is shorter than what was read of it is another one', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, '0')
  await expect(bounded(broker, { position: { topics: { t: { 0: [5, 8] } } } })).rejects.toThrow(
    't/0: is read up to offset 5, and ends at 1: the topic was made anew, or this is another cluster',
  )
  await expect(bounded(broker, { position: { topics: { t: { 0: [1, 8] } } } })).rejects.toThrow(
    'is to be read up to offset 8',
  )
  await expect(streamed(broker, 1, { position: { topics: { t: { 0: 5 } } } })).rejects.toThrow('is read up to offset 5')
})

test('a topic that has fewer partitions than were read of it is another one, however long those are', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, ...numbers(9))
  const gone = 't/1: was read, and is there no more: the topic was made anew, or this is another cluster'
  const since = { time: new Date(0), value: { topics: { t: { 0: 2, 1: 2 } } } }
  await expect(bounded(broker, { since })).rejects.toThrow(gone)
  await expect(bounded(broker, { position: { topics: { t: { 0: [2, 4], 1: [4, 4] } } } })).rejects.toThrow(gone)
  const stream = { position: { topics: { t: { 0: 2, 1: 2 } } } }
  await expect(streamed(broker, 1, stream)).rejects.toThrow(gone)
  const { pages, said } = await streamed(broker, 7, stream, undefined, { lost: 'earliest' })
  expect(idsOf(pages)).toEqual(ids(0, 2, 9))
  expect(said).toContain(gone)
})

test('a stream goes on at its position, whatever the group remembers', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, ...numbers(6))
  broker.groups.set('g', [{ topic: 't', partition: 0, offset: 6, metadata: '' }])
  const { pages } = await streamed(broker, 4, { position: { topics: { t: { 0: 2 } } } })
  expect(idsOf(pages)).toEqual(ids(0, 2, 6))
})

test('a stream that was never read goes on where its group is, or else begins at either end', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, ...numbers(6))
  const add = () => broker.add('t', 0, 'true')
  expect(idsOf((await streamed(broker, 6)).pages)).toEqual(ids(0, 0, 6))
  setTimeout(add, 20)
  expect(idsOf((await streamed(broker, 1, {}, undefined, { first: 'latest' })).pages)).toEqual(['t/0/6'])
  broker.groups.set('g', [{ topic: 't', partition: 0, offset: 4, metadata: '' }])
  const { pages, said } = await streamed(broker, 3)
  expect(idsOf(pages)).toEqual(ids(0, 4, 7))
  expect(said).toEqual(['t: goes on where the group g has read up to'])
  // What a destination had that is gone now counts for nothing.
  broker.groups.set('g', [{ topic: 't', partition: 0, offset: 4, metadata: 'bizon' }])
  expect(idsOf((await streamed(broker, 7)).pages)).toEqual(ids(0, 0, 7))
})

test('a stream gives what there is at once, and picks up partitions that are added', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, ...numbers(3))
  const { pages } = await streamed(broker, 8, {}, (page) => {
    if (page !== 1) return
    broker.add('t', 1, ...numbers(5))
  })
  expect(idsOf(pages).sort()).toEqual([...ids(0, 0, 3), ...ids(1, 0, 5)])
  expect(pages.at(-1)?.next).toEqual({ topics: { t: { 0: 3, 1: 5 } } })
})

test('a stream of nothing but what is left out gives positions that go on', async () => {
  const broker = new FakeBroker()
  broker.perFetch = 2
  broker.add('t', 0, '', '', '', '', '4')
  const { pages } = await streamed(broker, 1)
  expect(pages.map(({ next, records }) => [records.length, next])).toEqual([
    [0, { topics: { t: { 0: 2 } } }],
    [0, { topics: { t: { 0: 4 } } }],
    [1, { topics: { t: { 0: 5 } } }],
  ])
})

test('a stream says how far it is behind, as long as it is', async () => {
  const broker = new FakeBroker()
  broker.add('t', 0, ...numbers(7))
  let now = 0
  const parts = { ...partsOf(broker), now: () => (now += 40_000) }
  const read = readStream(parts, {}, never)
  for (let i = 0; i < 3; i++) await read.next()
  await read.return()
  expect(parts.log.said).toEqual(['messages behind: 4', 'messages behind: 1', 'messages behind: 0'])
})

test('what is durable is committed, the newest last, and a failure is told once', async () => {
  const broker = new FakeBroker()
  const log = listeningLog()
  const commits = () => new Commits(async () => broker, 'g', log)
  let open = commits()
  for (const next of [1, 2, 3]) open.add({ topics: { t: { 0: next } } })
  await open.close()
  expect(broker.groups.get('g')).toEqual([{ topic: 't', partition: 0, offset: 3, metadata: 'bizon' }])
  for (const code of ['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'GROUP_AUTHORIZATION_FAILED']) {
    open = commits()
    broker.refusal = new Error(code)
    open.add({ topics: { t: { 0: 4 } } })
    open.add({ topics: { t: { 0: 5 } } })
    await open.close()
    expect(log.said.splice(0)).toEqual([
      `offsets cannot be committed to the group g, which matters only to who watches it: ${code}`,
      'offsets are committed to the group g again',
    ])
    expect(broker.groups.get('g')).toEqual([{ topic: 't', partition: 0, offset: 5, metadata: 'bizon' }])
  }
})

test('a group that does not answer does not keep the source from being closed', async () => {
  const log = listeningLog()
  const silent = {
    commit: (_group: string, _offsets: unknown, signal?: AbortSignal) =>
      new Promise<void>((_, reject) => signal?.addEventListener('abort', () => reject(new Error('given up')))),
    close: async () => {},
  }
  const commits = new Commits(async () => silent, 'g', log)
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  try {
    commits.add({ topics: { t: { 0: 1 } } })
    const closing = commits.close()
    await vi.advanceTimersByTimeAsync(60_000)
    await closing
  } finally {
    vi.useRealTimers()
  }
  expect(log.said).toEqual([expect.stringContaining('given up')])
})
