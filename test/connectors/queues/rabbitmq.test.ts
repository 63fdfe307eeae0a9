import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { RabbitConsumer } from '../../../connectors/queues/rabbitmq/consumer.ts'
import { firstUnacknowledged, orderText } from '../../../connectors/queues/rabbitmq/order.ts'
import { RabbitChannel } from '../../../connectors/rabbitmq/channel.ts'
import { type Arrival, type ChannelConsumer, type ChannelProducer, READ_AHEAD_BYTES } from '../../../lib/channel.ts'
import { BizonError } from '../../../lib/errors.ts'
import { silentLog } from '../../../lib/log.ts'
import { never, Signpost, sleep } from '../../../lib/wait.ts'
import { channelContract } from '../../contract/channel.ts'
import { message, type RabbitGround, rabbitGround, taken, textOf, USER, VHOST } from '../../support/rabbitmq-queue.ts'
import { relayTo } from '../../support/relay.ts'
import { makeCertificates } from '../../support/services/certificates.ts'
import { queuesOnDisk } from '../../support/services/rabbitmq.ts'
import { listeningLog } from '../../support/table-source.ts'

let ground: RabbitGround
let opened: { close(): Promise<void> }[] = []
beforeAll(async () => {
  ground = await rabbitGround()
})
afterEach(async () => {
  vi.restoreAllMocks()
  for (const one of opened.reverse()) await one.close()
  opened = []
})
afterAll(() => ground.server.remove())

async function open<One extends ChannelProducer | ChannelConsumer>(one: One): Promise<One> {
  opened.push(one)
  await one.open(never)
  return one
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, n) => String(n))

channelContract(
  'rabbitmq',
  async () => {
    const queue = ground.fresh()
    return {
      channel: () => ground.channel(queue),
      putForeign: (body) => ground.publish(queue, [{ body }]),
      deadLetters: async () =>
        (await ground.drain(`${queue}.dead`)).map(({ body, headers }) => ({
          body,
          reason: String(headers['bizon-reason']),
        })),
      remove: async () => {},
    }
  },
  { fences: false, hasTransactions: false },
)

describe('a queue of RabbitMQ', () => {
  async function putMany(count: number, size = 1): Promise<string> {
    const queue = ground.fresh()
    await (await open(ground.channel(queue).producer())).close()
    const messages = numbers(count).map((n) => ({
      body: n.padEnd(size),
      id: orderText({ producer: 1, message: Number(n) }),
    }))
    await ground.publish(queue, messages)
    return queue
  }
  const numbersOf = (arrivals: Parameters<typeof textOf>[0][]): string[] => arrivals.map((one) => textOf(one).trim())

  it('gives a thousand messages before the first is acknowledged', async () => {
    const queue = await putMany(1000)
    const one = await open(ground.channel(queue).consumer())
    const arrivals = await taken(one, 1000, never)
    expect(numbersOf(arrivals)).toEqual(numbers(1000))
    await arrivals.at(-2)?.ack()
    await one.close()
    expect((await ground.drain(queue)).map(({ body }) => body)).toEqual(['999'])
  })

  it('gives again in order what was not acknowledged, however often some of it were taken, and holds little of it', async () => {
    const [count, size] = [200, 60_000]
    const queue = await putMany(count, size)
    const all = numbers(count)
    for (const some of [count, 10, 150]) {
      const one = await open(ground.channel(queue).consumer())
      const arrivals = await taken(one, some, never)
      expect(numbersOf(arrivals)).toEqual(all.slice(0, some))
      expect(one.heldBytes).toBeLessThanOrEqual(READ_AHEAD_BYTES + size)
      if (some === 150) await arrivals[99]?.ack()
      await one.close()
    }
    const last = await open(ground.channel(queue).consumer())
    expect(numbersOf(await taken(last, 50, never))).toEqual(all.slice(100, 150))
    // Anew, by the same one.
    expect(numbersOf(await taken(last, 100, never))).toEqual(all.slice(100))
  })

  it('takes for acknowledged what stands before a message that is missing', () => {
    const ids = (...orders: readonly (readonly [number, number])[]) =>
      orders.map(([producer, message]) => ({ id: orderText({ producer, message }) }))
    expect(firstUnacknowledged(ids([1, 4], [1, 5], [2, 1], [2, 2]))).toBe(0)
    expect(firstUnacknowledged(ids([1, 4], [1, 6], [1, 7]))).toBe(1)
    expect(firstUnacknowledged(ids([1, 4], [1, 6], [1, 8], [1, 9]))).toBe(2)
    expect(firstUnacknowledged(ids([1, 4], [1, 5], [2, 3]))).toBe(2)
    expect(firstUnacknowledged([...ids([1, 4]), { id: undefined }, ...ids([1, 5])])).toBe(0)
    expect(firstUnacknowledged([])).toBe(0)
  })

  it('keeps messages that a loader works on for longer than the broker lets one be', async () => {
    const waits = 'application:set_env(rabbit, consumer_timeout, 1500), '
    await ground.evaluate(`${waits} application:set_env(rabbit, channel_tick_interval, 200).`)
    async function workOn(renewSeconds: number): Promise<{ seen: string[]; left: number }> {
      const queue = await putMany(3)
      const one = await open(new RabbitConsumer(ground.place(queue), silentLog, { renewSeconds }))
      const taking = one.take(never)
      const seen: Arrival[] = []
      for (let n = 0; n < 3; n++) seen.push((await taking.next()).value as Arrival)
      const next = taking.next() // waits meanwhile
      await sleep(2.5, never)
      await ground.publish(queue, [{ body: '3', id: orderText({ producer: 1, message: 3 }) }])
      const last = (await next).value
      if (last) seen.push(last)
      await last?.ack()
      await one.close()
      return { seen: numbersOf(seen), left: (await ground.drain(queue)).length }
    }
    const [ours, twin] = await Promise.all([workOn(0.3), workOn(1000)])
    expect(ours).toEqual({ seen: numbers(4), left: 0 })
    // The broken twin loses its channel.
    expect(twin).toEqual({ seen: numbers(3), left: 4 })
  })

  it('puts through an exchange, which is made and bound, or was there', async () => {
    const [fanout, own] = [ground.fresh(), ground.fresh()]
    await ground.by((channel) => channel.assertExchange(fanout, 'fanout'))
    for (const exchange of [own, fanout]) {
      const queue = ground.fresh()
      const one = await open(ground.channel(queue, { exchange }).producer())
      await one.put(message('1', 'one'), never)
      const [arrival] = await taken(await open(ground.channel(queue, { exchange }).consumer()), 1, never)
      expect(arrival && textOf(arrival)).toBe('1')
      await ground.by((channel) => channel.unbindQueue(queue, exchange, queue))
      await expect(one.put(message('2', 'two'), never)).rejects.toMatchObject({
        code: 'destination',
        message: expect.stringContaining(`there is no queue behind exchange ${exchange} for the key ${queue}`),
      })
    }
  })

  it('waits aloud while the broker is full, and gives out what it has meanwhile', async () => {
    const queue = ground.fresh()
    const said: string[] = []
    const log = { ...silentLog, warn: (text: string) => said.push(text), info: (text: string) => said.push(text) }
    const [one, taker] = [
      await open(ground.channel(queue, {}, log).producer()),
      await open(ground.channel(queue).consumer()),
    ]
    await one.put(message('1', 'one'), never)
    const resource = '{resource_limit, memory, node()}'
    const full = ground.evaluate(
      `rabbit_alarm:set_alarm({${resource}, []}), timer:sleep(2500), rabbit_alarm:clear_alarm(${resource}).`,
    )
    const isFull = async (): Promise<boolean> => {
      // Whoever puts is told only then.
      await one.put(message('2', 'two'), never)
      return said.length > 0
    }
    while (!(await isFull()));
    const taking = taker.take(never)
    const first = await taking.next()
    await first.value?.ack()
    await taker.close()
    const again = await taken(await open(ground.channel(queue).consumer()), 1, never)
    expect(again.map(textOf)).toEqual(['2'])
    await full
    expect(said[0]).toMatch(
      /^RabbitMQ at 127\.0\.0\.1:\d+ takes no messages for now \(.*memory.*\): the extract waits$/,
    )
    expect(said[1]).toMatch(/takes messages again$/)
    expect(said).toHaveLength(2)
  })

  it('says what is wrong, once, without the password', async () => {
    const at = `RabbitMQ at 127.0.0.1:${ground.server.address.port}`
    const failure = async (keys: object, queue = ground.fresh()): Promise<string> => {
      const errors = []
      for (const one of [ground.channel(queue, keys).producer(), ground.channel(queue, keys).consumer()]) {
        opened.push(one)
        const error: unknown = await one.open(never).catch((error: unknown) => error)
        if (!(error instanceof BizonError)) throw new Error(`not an error of ours: ${error}`)
        expect(JSON.stringify([error.message, error.hint, String(error.cause)])).not.toContain('swordfish')
        errors.push([error.code, error.message])
      }
      expect(errors.map(([code]) => code)).toEqual(['destination', 'source'])
      expect(new Set(errors.map(([, text]) => text)).size).toBe(1)
      return String(errors[0]?.[1])
    }
    expect(await failure({ password: 'swordfish' })).toBe(
      `${at}: user ${USER} was refused: wrong password, or no such user`,
    )
    expect(await failure({ virtual_host: 'nowhere' })).toBe(
      `${at}: user ${USER} may not use virtual host nowhere, or there is none`,
    )
    expect(await failure({ port: 1 })).toBe('RabbitMQ at 127.0.0.1:1: cannot connect: connect ECONNREFUSED 127.0.0.1:1')
    expect(await failure({ ssl: true })).toBe(`${at}: it does not speak TLS at this port`)
    const [classic, topic] = [ground.fresh(), ground.fresh()]
    await ground.by((channel) => channel.assertQueue(classic, { durable: false }))
    expect(await failure({}, classic)).toMatch(
      new RegExp(`^${at}: queue ${classic} exists and is not as bizon makes it: .*inequivalent arg 'durable'`),
    )
    await ground.by((channel) => channel.assertQueue(topic, { arguments: { 'x-queue-type': 'quorum' } }))
    expect(await failure({}, topic)).toMatch(/inequivalent arg 'x-delivery-limit'/)
  })

  it('fails, and does not ask again without end, where it may not take any more', async () => {
    const queue = await putMany(1)
    const one = await open(ground.channel(queue).consumer())
    const mayRead = (pattern: string): Promise<string> => {
      const [user, vhost, all, read] = [USER, VHOST, '.*', pattern].map((text) => `<<"${text}">>`)
      return ground.evaluate(
        `rabbit_auth_backend_internal:set_permissions(${user}, ${vhost}, ${all}, ${all}, ${read}, <<"test">>).`,
      )
    }
    await mayRead('nothing')
    try {
      // Of the queue, or of the one that says whose turn it is.
      await expect(one.take(never).next()).rejects.toThrow(
        new RegExp(`access to queue '${queue}(\\.loader)?' in vhost '${VHOST}' refused`),
      )
    } finally {
      await mayRead('.*')
    }
  })

  it('speaks TLS, to a broker whose certificate it can check', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bizon-tls-'))
    await makeCertificates(folder)
    const pem = (name: string): string => join(folder, `${name}.pem`)
    const [cert, key, ca] = await Promise.all(
      ['server.pem', 'server.key', 'ca.pem'].map((file) => readFile(join(folder, file))),
    )
    const { port: plain } = ground.server.address
    const proxy = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true }, (socket) => {
      const broker = connect(plain, '127.0.0.1')
      socket.pipe(broker).pipe(socket)
      for (const end of [socket, broker]) end.on('error', () => {})
    })
    proxy.on('tlsClientError', () => {})
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const { port } = proxy.address() as AddressInfo
    const queue = ground.fresh()
    const keys = { port, ssl: true, ssl_cert: pem('client'), ssl_key: join(folder, 'client.key') }
    try {
      const one = await open(ground.channel(queue, { ...keys, ssl_ca: pem('ca') }).producer())
      await one.put(message('1', 'one'), never)
      await one.close()
      const failure = (given: object) => ground.channel(queue, given).producer().open(never)
      await expect(failure(keys)).rejects.toThrow('its certificate is not trusted')
      expect(() => ground.channel(queue, { ...keys, ssl_ca: pem('nobody') })).toThrow(
        `ssl_ca: cannot read "${pem('nobody')}"`,
      )
      await expect(failure({ port })).rejects.toThrow('it closes the connection at once')
    } finally {
      proxy.close()
      await rm(folder, { recursive: true, force: true })
    }
  })

  /** Puts until it fails; what resolved. */
  async function putUntilCut(
    queue: string,
    cut: (put: number) => void,
    keys: object = {},
  ): Promise<{ confirmed: string[]; error: unknown }> {
    const one = await open(ground.channel(queue, keys).producer())
    const from = Number((await one.last()) ?? -1) + 1
    const confirmed: string[] = []
    for (let n = from; ; n++) {
      try {
        await one.put(message(String(n), String(n)), never)
      } catch (error) {
        return { confirmed, error }
      }
      confirmed.push(String(n))
      cut(confirmed.length)
    }
  }

  it('has what it confirmed when the connection is cut; a twin that does not wait for that has lost it', async () => {
    const queue = ground.fresh()
    const lostOf = async (): Promise<string[]> => {
      const relay = await relayTo(ground.server.address.port)
      opened.push(relay)
      const cut = (put: number): void => {
        if (put === 20) relay.cut()
      }
      const { confirmed, error } = await putUntilCut(queue, cut, { port: relay.port })
      expect(error).toMatchObject({ code: 'destination', retriable: true })
      const there = new Set((await ground.drain(queue)).map(({ body }) => body))
      return confirmed.filter((body) => !there.has(body))
    }
    expect(await lostOf()).toEqual([])
    const { publish } = RabbitChannel.prototype
    let count = 0
    vi.spyOn(RabbitChannel.prototype, 'publish').mockImplementation(async function (this: RabbitChannel, ...given) {
      this.ended.throwIfAborted()
      publish.apply(this, given).catch(() => {})
      if (++count > 100) await sleep(0.001, never)
    })
    expect((await lostOf()).length).toBeGreaterThan(0)
  })

  it('gives again what was not acknowledged when a loader is cut off; a twin that acknowledges at once does not', async () => {
    const again = async (): Promise<string[]> => {
      const queue = await putMany(10)
      const relay = await relayTo(ground.server.address.port)
      opened.push(relay)
      const one = await open(ground.channel(queue, { port: relay.port }).consumer())
      await taken(one, 5, never)
      relay.cut()
      return numbersOf(await taken(one, 5, never))
    }
    expect(await again()).toEqual(numbers(5))
    const { get } = RabbitChannel.prototype
    vi.spyOn(RabbitChannel.prototype, 'get').mockImplementation(async function (this: RabbitChannel, queue) {
      const message = await get.call(this, queue)
      if (message) this.ack(message.tag)
      return message
    })
    await expect(again()).resolves.not.toEqual(numbers(5))
  })

  it('loses nothing and keeps the order when the broker is killed while one puts and one takes', async () => {
    const queue = ground.fresh()
    await (await open(ground.channel(queue).producer())).close()
    await queuesOnDisk(ground.server.address)
    const log = listeningLog()
    const taker = await open(ground.channel(queue, {}, log).consumer())
    const seen: string[] = []
    const changed = new Signpost()
    const stop = new AbortController()
    let begun = 0
    const loading = (async () => {
      while (!stop.signal.aborted) {
        begun += 1
        for await (const arrival of taker.take(stop.signal)) {
          seen.push(textOf(arrival))
          // Never the newest: some are always on the way.
          if (seen.length % 7 === 0) await arrival.ack()
          changed.change()
        }
      }
    })()
    let dying: Promise<void> | undefined
    const first = await putUntilCut(queue, (put) => {
      if (put === 60) dying = ground.server.kill()
    })
    expect(first.error).toMatchObject({ code: 'destination', retriable: true })
    await dying
    await ground.server.start()
    const one = await open(ground.channel(queue).producer())
    const from = Number(await one.last()) + 1
    // One may have come that was not confirmed any more.
    expect([0, 1]).toContain(from - first.confirmed.length)
    const last = from + 30
    for (let n = from; n <= last; n++) await one.put(message(String(n), String(n)), never)
    while (!seen.includes(String(last))) await changed.wait(never)
    stop.abort(new Error('enough'))
    await expect(loading).rejects.toThrow('enough')
    expect([...new Set(seen)]).toEqual(numbers(last + 1))
    expect(begun).toBeGreaterThan(1)
    expect(log.said.at(-2)).toMatch(/^RabbitMQ at .*; what was not acknowledged comes again$/)
    expect(log.said.at(-1)).toMatch(/^RabbitMQ at 127\.0\.0\.1:\d+ answers again$/)
  })
})
