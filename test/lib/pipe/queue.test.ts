// Both halves of a pipeline with a broker between: what a message holds, where an extract goes on, and what a loader makes of
// messages that are missing, come twice, or are not its own.

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PipelineConfig } from '../../../lib/config.ts'
import { BizonError } from '../../../lib/errors.ts'
import { readHead, writeHead } from '../../../lib/pipe/queue/message.ts'
import { testConfig } from '../../support/engine.ts'
import { MemoryBroker } from '../../support/memory-broker.ts'
import { extractInto, listening, loadFrom } from '../../support/queued.ts'
import { type Script, type Shelf, scriptedSource, shelf, shelfDestination } from '../../support/shelf.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-queue-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

interface Parts extends Partial<Script> {
  readonly keys?: { readonly [key: string]: unknown }
  readonly on?: Shelf
  readonly fails?: (step: string) => void
  readonly transforms?: readonly object[]
}

async function configOf({
  keys = {},
  on = shelf(),
  fails = () => {},
  transforms = [],
  ...script
}: Parts = {}): Promise<PipelineConfig> {
  await mkdir(folder, { recursive: true })
  return testConfig({
    folder,
    source: scriptedSource({ pages: [2, 0, 2, 1], ...script, interfere: fails }),
    destination: shelfDestination(on, fails),
    sourceKeys: keys,
    transforms,
  })
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const headsOf = (broker: MemoryBroker) => broker.messages.map((one) => readHead({ ...one, place: '' }))
const bodyOf = (broker: MemoryBroker, at: number): string => Buffer.from(broker.messages[at]?.body ?? '').toString()
const failsAt = (step: string, at: number) => {
  let passed = 0
  return (reached: string): void => {
    if (reached === step && ++passed === at) throw new Error(`trouble at ${step}`)
  }
}
const incremental = { sync_mode: 'incremental' }
const even = [{ label: 'even', javascript: 'if (data.n % 2 === 1) return null' }]

describe('a message', () => {
  test('is a pipe of its own, which begins where it does', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    const lines = bodyOf(broker, 2).trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).type)).toEqual(['STATE', 'SCHEMA', 'RECORD', 'RECORD', 'STATE'])
    expect(JSON.parse(lines[0] ?? '').value.bizon).toMatchObject({ page: 2, rows: 2, begin: { pipeline: 'test' } })
    expect(headsOf(broker).map((head) => [head?.from, head?.to, head?.part, head?.last, head?.end])).toEqual([
      [0, 1, 0, true, false],
      [1, 2, 0, true, false],
      [2, 3, 0, true, false],
      [3, 4, 0, true, true],
    ])
  })

  test('gathers small pages, until it is full or the run ends', async () => {
    const broker = new MemoryBroker({ lingerSeconds: 10, messageBytes: 100_000 })
    await extractInto(broker, await configOf())
    expect(headsOf(broker)).toMatchObject([{ from: 0, to: 4, end: true }])
  })

  test('holds a part of a page that is larger, and no other page', async () => {
    const broker = new MemoryBroker({ messageBytes: 1000, lingerSeconds: 10 })
    await extractInto(broker, await configOf({ pages: [1, 40, 1] }))
    const heads = headsOf(broker)
    expect(heads.map((head) => [head?.from, head?.to, head?.part, head?.last])).toEqual([
      [0, 1, 0, true],
      ...upTo(heads.length - 2).map((part) => [1, 2, part, part === heads.length - 3]),
      [2, 3, 0, true],
    ])
    expect(heads.length).toBeGreaterThan(5)
    expect(Math.max(...broker.messages.map(({ body }) => body.length))).toBe(1000)
    const on = shelf()
    expect(await loadFrom(broker, await configOf({ on }))).toMatchObject({ status: 'complete', rows: 42 })
    expect(on.published).toEqual(upTo(42))
  })

  test('has a head that is read as it was written, and nothing that is damaged', () => {
    const head = {
      ...{ pipeline: 'crm ü', source: 's', stream: 't', run: 'r', at: new Date(0), session: 'x' },
      ...{ from: 3, to: 4, part: 2, last: false, end: false },
    }
    const body = Buffer.from('{"type":"STATE"}')
    const headers = writeHead(head, body)
    expect(readHead({ headers, place: 'here' })).toEqual(head)
    expect(readHead({ headers: { other: 'x' }, place: 'here' })).toBeUndefined()
    expect(() => readHead({ headers: { ...headers, 'bizon-from': '-1' }, place: 'here' })).toThrow(
      'here: its header bizon-from is -1',
    )
    expect(() => readHead({ headers: { ...headers, 'bizon-version': '2' }, place: 'here' })).toThrow('version 2')
    const { 'bizon-run': _, ...rest } = headers
    expect(() => readHead({ headers: rest, place: 'here' })).toThrow('bizon-run is missing')
  })
})

describe('an extract into a queue', () => {
  test('goes on behind what waits there, whatever the destination holds', async () => {
    const broker = new MemoryBroker()
    await expect(extractInto(broker, await configOf({ fails: failsAt('fetch', 3) }))).rejects.toThrow('trouble')
    const started: unknown[] = []
    await extractInto(broker, await configOf({ started: (from) => started.push(from) }))
    expect(started).toEqual([{ position: { page: 2 } }])
    const heads = headsOf(broker)
    expect(heads.map((head) => head?.from)).toEqual([0, 1, 2, 3])
    expect(new Set(heads.map((head) => head?.run)).size).toBe(1)
    expect(new Set(heads.map((head) => head?.session)).size).toBe(2)
    const on = shelf()
    await loadFrom(broker, await configOf({ on }))
    expect(on.published).toEqual(upTo(5))
  })

  test('of what is new begins behind a run that nobody has loaded yet', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf({ keys: incremental }))
    const pages = [2, 0, 2, 1, 3]
    const started: { since?: { value?: unknown } }[] = []
    await extractInto(broker, await configOf({ keys: incremental, pages, started: (from) => started.push(from) }))
    expect(started[0]?.since?.value).toBe(4)
    // Finds nothing new, and hands on what it was given.
    await extractInto(broker, await configOf({ keys: incremental, pages }))
    await extractInto(
      broker,
      await configOf({ keys: incremental, pages: [...pages, 1], started: (from) => started.push(from) }),
    )
    expect(started[1]?.since?.value).toBe(5)
    const on = shelf()
    for (const rows of [5, 8, 8, 9]) {
      expect(await loadFrom(broker, await configOf({ keys: incremental, on }))).toMatchObject({ status: 'complete' })
      expect(on.published).toEqual(upTo(rows))
    }
    expect(await loadFrom(broker, await configOf({ keys: incremental, on }))).toBeUndefined()
  })

  test('begins behind a run of which the loader leaves records out', async () => {
    const broker = new MemoryBroker()
    const pages = [2, 0, 2, 1]
    await extractInto(broker, await configOf({ keys: incremental, pages }))
    await extractInto(broker, await configOf({ keys: incremental, pages: [...pages, 3] }))
    const on = shelf()
    for (const rows of [
      [0, 2, 4],
      [0, 2, 4, 6],
    ]) {
      const outcome = await loadFrom(broker, await configOf({ keys: incremental, on, transforms: even }))
      expect(outcome).toMatchObject({ status: 'complete' })
      expect(on.published).toEqual(rows)
    }
  })

  test('is refused behind another reading of the run, also where the extract leaves records out', async () => {
    const broker = new MemoryBroker()
    const parts = { keys: incremental, transforms: even, on: shelf() }
    const pages = [2, 0, 2, 1]
    await extractInto(broker, await configOf({ ...parts, pages }))
    await extractInto(broker, await configOf({ ...parts, pages: [...pages, 3] }))
    broker.messages = broker.messages.map(({ headers, ...one }) => ({
      ...one,
      headers: 'bizon-after-rows' in headers ? { ...headers, 'bizon-after-rows': '2' } : headers,
    }))
    expect(await loadFrom(broker, await configOf(parts))).toMatchObject({ status: 'complete' })
    await expect(loadFrom(broker, await configOf(parts))).rejects.toThrow(
      /reads on from one of 4 pages \(2 rows\), and what is published has 4 pages \(3 rows\)$/,
    )
  })

  test('begins where the destination stands when what waits is ignored', async () => {
    const broker = new MemoryBroker()
    const on = shelf()
    await expect(extractInto(broker, await configOf({ fails: failsAt('fetch', 3) }))).rejects.toThrow('trouble')
    await loadFrom(broker, await configOf({ on }))
    broker.messages.length = 0
    broker.last = undefined
    const started: unknown[] = []
    await extractInto(broker, await configOf({ started: (from) => started.push(from) }), { ignoresWaiting: true })
    expect(started).toEqual([{ position: { page: 2 } }])
    await loadFrom(broker, await configOf({ on }))
    expect(on.published).toEqual(upTo(5))
  })

  test('starts over when the source cannot go on, and what waits is given up by the loader', async () => {
    const broker = new MemoryBroker()
    const stream = { resumable: false }
    await expect(extractInto(broker, await configOf({ stream, fails: failsAt('fetch', 4) }))).rejects.toThrow('trouble')
    await extractInto(broker, await configOf({ stream }))
    expect(headsOf(broker).map((head) => head?.from)).toEqual([0, 1, 2, 0, 1, 2, 3])
    const on = shelf()
    expect(await loadFrom(broker, await configOf({ stream, on }))).toMatchObject({ status: 'complete', totalRows: 5 })
    expect(on.published).toEqual(upTo(5))
    broker.redeliverFrom(0)
    expect(await loadFrom(broker, await configOf({ stream, on }))).toMatchObject({ status: 'complete', rows: 0 })
    expect(on.published).toEqual(upTo(5))
  })

  test('starts over when its configuration has changed', async () => {
    const broker = new MemoryBroker()
    await expect(extractInto(broker, await configOf({ fails: failsAt('fetch', 3) }))).rejects.toThrow('trouble')
    const edited = { cursor_field: 'n' }
    await extractInto(broker, await configOf({ keys: edited }))
    expect(headsOf(broker).map((head) => head?.from)).toEqual([0, 1, 0, 1, 2, 3])
    const on = shelf()
    await loadFrom(broker, await configOf({ keys: edited, on }))
    expect(on.published).toEqual(upTo(5))
  })

  test('of what is new refuses to start over behind a run that only the queue knows', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf({ keys: incremental }))
    const pages = [2, 0, 2, 1, 3, 1]
    const next = extractInto(broker, await configOf({ keys: incremental, pages, fails: failsAt('fetch', 2) }))
    await expect(next).rejects.toThrow('trouble')
    const edited = { ...incremental, cursor_field: 'n' }
    await expect(extractInto(broker, await configOf({ keys: edited, pages }))).rejects.toThrow(
      /it holds the beginning of run [0-9a-f]{32}, which cannot be gone on with: its configuration was another/,
    )
    const on = shelf()
    await loadFrom(broker, await configOf({ keys: edited, pages, on }))
    await loadFrom(broker, await configOf({ keys: edited, pages, on }))
    await extractInto(broker, await configOf({ keys: edited, pages }))
    await loadFrom(broker, await configOf({ keys: edited, pages, on }))
    expect(on.published).toEqual(upTo(9))
  })

  test('with a reset replaces what was loaded, once', async () => {
    const broker = new MemoryBroker()
    const on = shelf()
    await extractInto(broker, await configOf({ keys: incremental }))
    const reset = { ...incremental, reset: true }
    await extractInto(broker, await configOf({ keys: reset, pages: [3, 1] }))
    for (const rows of [5, 4]) {
      await loadFrom(broker, await configOf({ keys: incremental, on }))
      expect(on.published).toEqual(upTo(rows))
    }
  })

  test('takes over from another one, which fails', async () => {
    const broker = new MemoryBroker()
    let isFirst = true
    const fails = (step: string): void => {
      if (step !== 'fetch' || !isFirst) return
      isFirst = false
      broker.producer = undefined
    }
    await expect(extractInto(broker, await configOf({ fails }))).rejects.toMatchObject({ code: 'fenced' })
    await extractInto(broker, await configOf())
    const on = shelf()
    await loadFrom(broker, await configOf({ on }))
    expect(on.published).toEqual(upTo(5))
  })
})

describe('a load from a queue', () => {
  test('acknowledges what is durable, and nothing before', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    const on = shelf()
    const held: number[] = []
    broker.interfere = (step) => void (step === 'ack' && held.push(on.committed?.checkpoint.page ?? 0))
    const said: number[] = []
    const acknowledged = (value: { toString(): string }): void => void said.push(JSON.parse(String(value)).bizon.page)
    await loadFrom(broker, await configOf({ on }), { acknowledged })
    expect(held).toEqual([1, 2, 3, 4])
    expect(said).toEqual([1, 2, 3, 4])
    expect(broker.acknowledged).toBe(3)
  })

  test('goes on where another one was killed, and passes over what comes again', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    const on = shelf()
    await expect(loadFrom(broker, await configOf({ on, fails: failsAt('flush', 3) }))).rejects.toThrow('trouble')
    expect(on.committed?.checkpoint.page).toBe(2)
    broker.redeliverFrom(0)
    expect(await loadFrom(broker, await configOf({ on }))).toMatchObject({ status: 'complete', rows: 3, totalRows: 5 })
    expect(on.published).toEqual(upTo(5))
  })

  test('that was killed behind its publish has nothing more to do', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    const on = shelf()
    await loadFrom(broker, await configOf({ on }))
    broker.redeliverFrom(1)
    expect(await loadFrom(broker, await configOf({ on }))).toMatchObject({ status: 'complete', rows: 0, totalRows: 5 })
    expect(broker.acknowledged).toBe(3)
  })

  test('drops messages that come twice, or once more out of an earlier place', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    const [one, two, three, four] = broker.messages
    if (!one || !two || !three || !four) throw new Error('too few')
    broker.messages = [one, one, two, one, two, three, three, four].map((each, offset) => ({ ...each, offset }))
    const on = shelf()
    expect(await loadFrom(broker, await configOf({ on }))).toMatchObject({ status: 'complete', rows: 5 })
    expect(on.published).toEqual(upTo(5))
  })

  test('says which pages are missing, and goes on behind them once they are written anew', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    broker.messages.splice(1, 1)
    const on = shelf()
    await expect(loadFrom(broker, await configOf({ on }))).rejects.toThrow(
      /^message 2 of the queue in memory: it goes on with page 3, and pages 2 to 2 of run [0-9a-f]{32} did not come$/,
    )
    expect(on.committed?.checkpoint.page).toBe(1)
    await extractInto(broker, await configOf(), { ignoresWaiting: true })
    await expect(loadFrom(broker, await configOf({ on }))).rejects.toMatchObject({ code: 'source' })
    await loadFrom(broker, await configOf({ on }), { skipBroken: true })
    expect(on.published).toEqual(upTo(5))
  })

  test('refuses a queue whose beginning is gone, and loads nothing', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    broker.messages.splice(0, 2)
    const on = shelf()
    await expect(loadFrom(broker, await configOf({ on }))).rejects.toThrow(
      'the pipe begins behind page 2, and the destination holds 0 pages',
    )
    expect(on).toMatchObject({ published: [], committed: undefined })
  })

  const altered = (body: Uint8Array): Buffer => Buffer.from(Buffer.from(body).toString().replace('"n":', '"m":'))
  test.each([
    { what: 'a letter is another', at: 2, change: altered, says: 'its body was changed on its way' },
    {
      what: 'the end is missing',
      at: 2,
      change: (body: Uint8Array) => Buffer.from(body.subarray(0, 300)),
      says: /its body has 300 bytes, and \d+ were written/,
    },
    {
      what: 'it is the first, and holds something else',
      at: 0,
      change: () => Buffer.from('{"id":1,"evil":true}'),
      says: /its body has 20 bytes, and \d+ were written/,
    },
  ])(
    'keeps a copy of a message that is not as it was written, fails, and goes on once it is: $what',
    async ({ at, change, says }) => {
      const broker = new MemoryBroker()
      await extractInto(broker, await configOf())
      const bad = broker.messages[at]
      if (!bad) throw new Error('too few')
      const body = change(bad.body)
      broker.messages[at] = { ...bad, body }
      const on = shelf()
      const failure = await loadFrom(broker, await configOf({ on })).catch((error: unknown) => error)
      expect(failure).toMatchObject({
        message: expect.stringMatching(says),
        hint: expect.stringContaining('--ignore-queue'),
      })
      expect(failure).toMatchObject({ message: expect.stringContaining(`message ${at} of the queue in memory: `) })
      expect(broker.deadLetters).toEqual([{ body: body.toString(), reason: expect.stringMatching(says) }])
      expect(on.published).toEqual([])
      expect(on.committed?.checkpoint.page).toBe(at === 0 ? undefined : at)
      await extractInto(broker, await configOf(), { ignoresWaiting: true })
      await loadFrom(broker, await configOf({ on }), { skipBroken: true })
      expect(on.published).toEqual(upTo(5))
    },
  )

  test('keeps a copy of what was written so that it cannot be read, and fails', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    const bad = broker.messages[2]
    const head = bad && readHead({ ...bad, place: '' })
    if (!head) throw new Error('too few')
    const body = Buffer.from(Buffer.from(bad.body).toString().replace('"n":3,', '"n":3;'))
    broker.messages[2] = { ...bad, body, headers: writeHead(head, body) }
    const on = shelf()
    await expect(loadFrom(broker, await configOf({ on }))).rejects.toThrow(
      /^message 2 of the queue in memory: line \d+ of the pipe: it is no JSON object/,
    )
    expect(broker.deadLetters).toEqual([
      { body: body.toString(), reason: expect.stringContaining('it is no JSON object') },
    ])
    expect(on.committed?.checkpoint.page).toBe(2)
  })

  test('never takes lines of another program for those of a run', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    const first = broker.messages[0]
    const head = first && readHead({ ...first, place: '' })
    if (!head) throw new Error('too few')
    const body = Buffer.from('{"id":1,"evil":true}\n')
    broker.messages = [{ ...first, body, headers: writeHead({ ...head, end: true }, body) }]
    const on = shelf()
    await expect(loadFrom(broker, await configOf({ on }))).rejects.toMatchObject({
      message: expect.stringContaining(
        'message 0 of the queue in memory: the first line of the pipe is not the STATE of a run',
      ),
      hint: expect.stringMatching(
        /^Something else writes to this queue\. .* Of a queue: write what .*--skip-broken\.$/,
      ),
    })
    expect(on).toMatchObject({ published: [], committed: undefined })
  })

  test('says why a message cannot be read, also where no copy can be kept', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    const [bad] = broker.messages
    if (!bad) throw new Error('too few')
    broker.messages[0] = { ...bad, headers: { ...bad.headers, 'bizon-version': '9' } }
    broker.interfere = (step) => {
      if (step === 'refuse') throw new BizonError('source', 'topic dead: not authorised', { hint: 'Allow it.' })
    }
    await expect(loadFrom(broker, await configOf(), { skipBroken: true })).rejects.toMatchObject({
      message: expect.stringMatching(/message of version 9.*no copy of it could be kept.*topic dead: not authorised$/),
      hint: 'Allow it.',
    })
  })

  test('keeps no copy where it is the destination that fails, whatever its words', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    const says = new BizonError('destination', 'a line of the pipe is what the server calls its log')
    const fails = (step: string): void => {
      if (step === 'write') throw says
    }
    await expect(loadFrom(broker, await configOf({ fails }), { skipBroken: true })).rejects.toBe(says)
    expect(broker.deadLetters).toEqual([])
  })

  test('keeps a copy of what is not of bizon, and goes on', async () => {
    const broker = new MemoryBroker()
    broker.add([{ headers: {}, body: Buffer.from('hello') }])
    await extractInto(broker, await configOf())
    const on = shelf()
    const log = listening()
    await loadFrom(broker, await configOf({ on }), { log })
    expect(on.published).toEqual(upTo(5))
    expect(broker.deadLetters).toEqual([{ body: 'hello', reason: 'it is not a message of bizon' }])
    expect(log.said).toContainEqual(
      expect.stringContaining('message 0 of the queue in memory: it is not a message of bizon'),
    )
  })

  test.each([true, false])('of a queue of several (shared: %s) takes its own', async (isShared) => {
    const broker = new MemoryBroker({ isShared })
    await extractInto(broker, await configOf())
    const foreign = broker.messages.map((one) => ({ ...one, headers: { ...one.headers, 'bizon-pipeline': 'other' } }))
    broker.messages = [...foreign, ...broker.messages].map((each, offset) => ({ ...each, offset }))
    const on = shelf()
    const loading = loadFrom(broker, await configOf({ on }))
    if (isShared) {
      await loading
      expect(on.published).toEqual(upTo(5))
    } else {
      await expect(loading).rejects.toThrow('it is of stream numbers of pipeline other, and this is numbers of test')
    }
  })

  test('passes over what is damaged of another pipeline', async () => {
    const broker = new MemoryBroker({ isShared: true })
    await extractInto(broker, await configOf())
    const damaged = broker.messages.map((one) => ({
      ...one,
      headers: { ...one.headers, 'bizon-pipeline': 'other' },
      body: Buffer.from('nothing of it'),
    }))
    broker.messages = [...damaged, ...broker.messages].map((each, offset) => ({ ...each, offset }))
    const on = shelf()
    await loadFrom(broker, await configOf({ on }))
    expect(on.published).toEqual(upTo(5))
    expect(broker.deadLetters).toEqual([])
  })

  test('gives up a page whose producer has gone, and loads it as the next one writes it', async () => {
    const broker = new MemoryBroker({ messageBytes: 1000, hasTransactions: false })
    const pages = [1, 1, 30, 1]
    let puts = 0
    broker.interfere = (step) => {
      if (step === 'put' && ++puts === 5) throw new Error('killed')
    }
    await expect(extractInto(broker, await configOf({ pages }))).rejects.toThrow('killed')
    broker.interfere = () => {}
    expect(headsOf(broker).at(-1)).toMatchObject({ from: 2, part: 1, last: false })
    await extractInto(broker, await configOf({ pages }))
    const on = shelf()
    const config = await testConfig({
      folder,
      source: scriptedSource({ pages }),
      destination: shelfDestination(on),
      checkpointPages: 10,
    })
    expect(await loadFrom(broker, config)).toMatchObject({ status: 'complete', totalRows: 33 })
    expect(on.published).toEqual(upTo(33))
  })

  test('takes a page once more that was given to another one when a part of it had come', async () => {
    const broker = new MemoryBroker({ messageBytes: 1000, hasTransactions: false })
    const pages = [1, 30, 1]
    await extractInto(broker, await configOf({ pages }))
    const on = shelf()
    let count = 0
    // Behind the first message of the second page.
    const taken = (): void => {
      if (++count === 2) broker.redeliver()
    }
    const config = await testConfig({
      folder,
      source: scriptedSource({ pages }),
      destination: shelfDestination(on),
      checkpointPages: 10,
    })
    expect(await loadFrom(broker, config, { taken })).toMatchObject({ status: 'complete', totalRows: 32 })
    expect(on.published).toEqual(upTo(32))
  })

  test('does not take a run for an older one that reads on from what is published, whatever its clock said', async () => {
    const broker = new MemoryBroker()
    const on = shelf()
    const pages = [2, 1]
    await extractInto(broker, await configOf({ keys: incremental, pages }))
    await loadFrom(broker, await configOf({ keys: incremental, on, pages }))
    const before = broker.messages.length
    pages.push(4)
    await extractInto(broker, await configOf({ keys: incremental, pages }))
    for (const [at, one] of broker.messages.entries()) {
      if (at < before) continue
      broker.messages[at] = { ...one, headers: { ...one.headers, 'bizon-at': '2001-02-03T04:05:06.000Z' } }
    }
    await loadFrom(broker, await configOf({ keys: incremental, on, pages }))
    expect(on.published).toEqual(upTo(7))
  })

  test('acknowledges what it passes over once for all that is at hand', async () => {
    const broker = new MemoryBroker()
    const on = shelf()
    await extractInto(broker, await configOf({ pages: new Array<number>(50).fill(1) }))
    await loadFrom(broker, await configOf({ on, pages: [] }))
    broker.redeliverFrom(0)
    let acks = 0
    broker.interfere = (step) => {
      if (step === 'ack') acks += 1
    }
    await loadFrom(broker, await configOf({ on, pages: [] }))
    expect(broker.acknowledged).toBe(broker.messages.length - 1)
    expect(broker.messages.length).toBeGreaterThanOrEqual(50)
    expect(acks).toBeLessThan(5)
  })

  test('does not publish a run that is older than the one that is published', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf({ pages: [1] }))
    const on = shelf()
    const { runPipeline } = await import('../../../lib/index.ts')
    await runPipeline(await configOf({ on }))
    const log = listening()
    expect(await loadFrom(broker, await configOf({ on }), { log })).toBeUndefined()
    expect(on.published).toEqual(upTo(5))
    expect(log.said).toContainEqual(
      expect.stringMatching(/run [0-9a-f]{32} is older than run [0-9a-f]{32}, which is published/),
    )
  })

  test('counts no attempts while another program writes to the destination', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    let tries = 0
    const fails = (step: string): void => {
      if (step === 'open' && ++tries < 3) throw new BizonError('locked', 'another run is writing to it')
    }
    const log = listening()
    expect(await loadFrom(broker, await configOf({ fails }), { log })).toMatchObject({ status: 'complete' })
    expect(tries).toBe(3)
    expect(log.said.filter((one) => one.includes('attempt'))).toEqual([expect.stringMatching(/, attempt 1$/)])
  })

  test('waits for another loader that has the pipeline', async () => {
    const broker = new MemoryBroker()
    await extractInto(broker, await configOf())
    const on = shelf()
    const config = await configOf({ on })
    const { backend } = config.engine
    const store = backend.definition.create(backend)
    await store.open()
    const lease = await store.acquire({ name: 'test', source: 'scripted', stream: 'numbers' }, 'another loader')
    const log = listening()
    const loading = loadFrom(broker, config, { log })
    while (!log.said.some((one) => one.startsWith('another loader has the pipeline'))) await new Promise(setImmediate)
    await lease.release()
    await store.close()
    expect(await loading).toMatchObject({ status: 'complete' })
    expect(on.published).toEqual(upTo(5))
  })
})
