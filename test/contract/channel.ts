// What every broker does that stands between an extract and a load. A broker runs it in one line, on a real server.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Arrival, type Channel, type ChannelConsumer, type Outgoing, READ_AHEAD_BYTES } from '../../lib/channel.ts'
import { never, Signpost, sleep } from '../../lib/wait.ts'

/** A topic or queue of its own, for one test. */
export interface ChannelGround {
  /** The same place each time, as another process would connect to it. */
  channel(): Channel
  /** Puts a message that is not of bizon, by another way than ours. */
  putForeign(body: string): Promise<void>
  /** What is kept of refused messages, read by another way than ours. */
  deadLetters(): Promise<readonly { readonly body: string; readonly reason: string }[]>
  remove(): Promise<void>
}

export interface ChannelFeatures {
  /** A producer that a later one has replaced cannot put any more. Else the later one is refused. */
  readonly fences: boolean
  /** Messages of a group that was never ended are not seen. */
  readonly hasTransactions: boolean
}

const whole = (body: string | Uint8Array, last = `after ${body}`): Outgoing => ({
  headers: { 'bizon-of': 'test', 'bizon-n': String(body.length) },
  body: Buffer.from(body),
  last,
})
const part = (body: string): Outgoing => ({ headers: { 'bizon-of': 'test' }, body: Buffer.from(body) })
const textOf = ({ body }: Pick<Arrival, 'body'>): string => Buffer.from(body).toString()

/** The next messages. */
async function some(taking: AsyncGenerator<Arrival, void, void>, count: number): Promise<Arrival[]> {
  const arrivals: Arrival[] = []
  while (arrivals.length < count) {
    const next = await taking.next()
    if (next.done) throw new Error(`it ended behind ${arrivals.map(textOf)}`)
    arrivals.push(next.value)
  }
  return arrivals
}

/** Whether nothing has come of it after the event loop turned for a while. */
async function waits(promise: Promise<unknown>): Promise<boolean> {
  const settled = promise.then(
    () => false,
    () => false,
  )
  return Promise.race([settled, sleep(0.3, never).then(() => true)])
}

export function channelContract(name: string, make: () => Promise<ChannelGround>, features: ChannelFeatures): void {
  describe(`${name} as a channel`, { timeout: 300_000 }, () => {
    let ground: ChannelGround
    let opened: { close(): Promise<void> }[] = []

    beforeEach(async () => {
      ground = await make()
    })
    afterEach(async () => {
      for (const one of opened.reverse()) await one.close()
      opened = []
      await ground.remove()
    })

    async function producer() {
      const one = ground.channel().producer()
      opened.push(one)
      await one.open(never)
      return one
    }

    async function consumer(): Promise<ChannelConsumer> {
      const one = ground.channel().consumer()
      opened.push(one)
      await one.open(never)
      return one
    }

    async function put(...messages: readonly Outgoing[]): Promise<void> {
      const one = ground.channel().producer()
      try {
        await one.open(never)
        for (const message of messages) await one.put(message, never)
      } finally {
        await one.close()
      }
    }

    it('gives messages in the order they were put, with their headers, byte for byte', async () => {
      const bytes = Buffer.from([0, 10, 13, 255, 0xc3, 0x28])
      await put(whole('one'), whole(bytes), whole('three'))
      const taking = (await consumer()).take(never)
      const [first, second, third] = await some(taking, 3)
      expect(first && textOf(first)).toBe('one')
      expect(first?.headers).toMatchObject({ 'bizon-of': 'test', 'bizon-n': '3' })
      expect(second && Buffer.from(second.body).equals(bytes)).toBe(true)
      expect(third && textOf(third)).toBe('three')
      expect(new Set([first?.place, second?.place, third?.place]).size).toBe(3)
    })

    it('says how many messages wait, and is changed by nothing of that', async () => {
      const { waiting } = ground.channel()
      expect(await waiting?.(never)).toBeUndefined()
      await put(whole('one'), whole('two'), whole('three'))
      const look = (): Promise<number | undefined> | undefined => ground.channel().waiting?.(never)
      await expect.poll(look, { timeout: 20_000 }).toBe(3)
      const taker = await consumer()
      const [, second] = await some(taker.take(never), 2)
      await second?.ack()
      await taker.close()
      await expect.poll(look, { timeout: 20_000 }).toBe(1)
      const [rest] = await some((await consumer()).take(never), 1)
      expect(rest && textOf(rest)).toBe('three')
    })

    it('gives what is put while somebody waits, and does not end because there is nothing', async () => {
      const taking = (await consumer()).take(never)
      const next = taking.next()
      expect(await waits(next)).toBe(true)
      const one = await producer()
      await one.put(whole('late'), never)
      const { value } = await next
      expect(value && textOf(value)).toBe('late')
      const another = taking.next()
      expect(await waits(another)).toBe(true)
      await one.put(whole('later'), never)
      expect(textOf((await another).value as Arrival)).toBe('later')
    })

    it('carries a body of the size that it names', async () => {
      const { messageBytes } = ground.channel()
      const body = Buffer.alloc(messageBytes, 'x')
      body.write('begin')
      body.write('end', messageBytes - 3)
      await put(whole(body, 'after it'))
      const [arrival] = await some((await consumer()).take(never), 1)
      expect(arrival && Buffer.from(arrival.body).equals(body)).toBe(true)
    })

    it('gives what was not acknowledged to the next consumer, and what was acknowledged to nobody', async () => {
      await put(...['1', '2', '3', '4', '5'].map((body) => whole(body)))
      const first = await consumer()
      const [, , third] = await some(first.take(never), 5)
      await third?.ack()
      await first.close()
      const second = await consumer()
      const [four, five] = await some(second.take(never), 2)
      expect([four, five].map((one) => one && textOf(one))).toEqual(['4', '5'])
      await five?.ack()
      await five?.ack()
      await four?.ack() // stands before another that was acknowledged
      await second.close()
      await put(whole('6'))
      const [six] = await some((await consumer()).take(never), 1)
      expect(six && textOf(six)).toBe('6')
    })

    it('gives everything once more when nothing was acknowledged', async () => {
      await put(whole('1'), whole('2'))
      const first = await consumer()
      await some(first.take(never), 2)
      await first.close()
      const again = await some((await consumer()).take(never), 2)
      expect(again.map(textOf)).toEqual(['1', '2'])
    })

    it('gives what was not acknowledged once more to whoever takes anew', async () => {
      await put(whole('1'), whole('2'), whole('3'))
      const taker = await consumer()
      const taking = taker.take(never)
      const [one] = await some(taking, 2)
      await one?.ack()
      await taking.return()
      const [two, three] = await some(taker.take(never), 2)
      expect([two, three].map((each) => each && textOf(each))).toEqual(['2', '3'])
    })

    it('gives messages to one consumer at a time; another one goes on when that is closed', async () => {
      await put(whole('1'), whole('2'))
      const seen: { by: number; text: string }[] = []
      const texts = (by: number): string[] => seen.filter((one) => one.by === by).map(({ text }) => text)
      const change = new Signpost()
      const ended = new AbortController()
      const takers = await Promise.all([0, 1].map(() => consumer()))
      const loops = takers.map(async (taker, by) => {
        // A broker may decide anew whose turn it is.
        while (!ended.signal.aborted) {
          for await (const arrival of taker.take(ended.signal)) {
            seen.push({ by, text: textOf(arrival) })
            change.change()
          }
        }
      })
      const until = async (isSo: () => boolean): Promise<void> => {
        while (!isSo()) await change.wait(never)
      }
      await until(() => seen.some(({ text }) => text === '2'))
      await put(whole('3'))
      await until(() => seen.some(({ text }) => text === '3'))
      const winner = seen.find(({ text }) => text === '3')?.by ?? 0
      const loser = 1 - winner
      expect(await waits(until(() => texts(loser).includes('3')))).toBe(true)
      seen.length = 0
      const closing = loops[winner]?.catch(() => {})
      await takers[winner]?.close()
      await until(() => texts(loser).includes('3'))
      expect(texts(loser).slice(-3)).toEqual(['1', '2', '3'])
      ended.abort(new Error('enough'))
      await Promise.all([closing, loops[loser]?.catch(() => {})])
    })

    it('says what stands behind the newest group, also to a later producer', async () => {
      const first = await producer()
      expect(await first.last()).toBeUndefined()
      await first.put(whole('1', '{"page":1}'), never)
      await first.put(part('2a'), never)
      await first.put(whole('2b', '{"page":2}'), never)
      expect(await first.last()).toBe('{"page":2}')
      await first.close()
      const [, , third] = await some((await consumer()).take(never), 3)
      await third?.ack() // what is done with still stands there
      expect(await (await producer()).last()).toBe('{"page":2}')
    })

    it('gives the messages of a group one behind the other, once it is ended where it can', async () => {
      const one = await producer()
      await one.put(part('a'), never)
      await one.put(part('b'), never)
      const taking = (await consumer()).take(never)
      const next = taking.next()
      if (features.hasTransactions) expect(await waits(next)).toBe(true)
      await one.put(whole('c'), never)
      const first = (await next).value as Arrival
      const rest = await some(taking, 2)
      expect([first, ...rest].map(textOf)).toEqual(['a', 'b', 'c'])
    })

    it('gives up a group whose producer has gone', async () => {
      const first = await producer()
      await first.put(whole('1', 'one'), never)
      await first.put(part('2a'), never)
      await first.close()
      const second = await producer()
      expect(await second.last()).toBe('one')
      await second.put(whole('2', 'two'), never)
      const seen = features.hasTransactions ? ['1', '2'] : ['1', '2a', '2']
      expect((await some((await consumer()).take(never), seen.length)).map(textOf)).toEqual(seen)
    })

    it('lets one producer put at a time', async () => {
      const first = await producer()
      await first.put(whole('1'), never)
      if (features.fences) {
        const second = await producer()
        await second.put(whole('2'), never)
        await expect(first.put(whole('lost'), never)).rejects.toMatchObject({ code: 'fenced' })
        await second.put(whole('3'), never)
      } else {
        await expect(producer()).rejects.toMatchObject({ code: 'locked' })
        await first.put(whole('2'), never)
        await first.close()
        await (await producer()).put(whole('3'), never)
      }
      expect((await some((await consumer()).take(never), 3)).map(textOf)).toEqual(['1', '2', '3'])
    })

    it('passes on, in its place, what is not of bizon', async () => {
      await put(whole('1'))
      await ground.putForeign('who am I')
      await put(whole('2'))
      const [, foreign, second] = await some((await consumer()).take(never), 3)
      expect(foreign && textOf(foreign)).toBe('who am I')
      expect(foreign?.headers['bizon-of']).toBeUndefined()
      expect(second && textOf(second)).toBe('2')
    })

    it('keeps what is refused where people find it, with the reason, and goes on', async () => {
      await put(whole('bad'), whole('good'))
      const one = await consumer()
      const taking = one.take(never)
      const [bad] = await some(taking, 1)
      if (!bad) throw new Error('nothing came')
      await one.refuse(bad, 'it is not a page')
      const [good] = await some(taking, 1)
      expect(good && textOf(good)).toBe('good')
      expect(await ground.deadLetters()).toEqual([{ body: 'bad', reason: 'it is not a page' }])
    })

    it('holds a bounded number of bytes ahead', async () => {
      const { messageBytes } = ground.channel()
      const bytes = Math.min(messageBytes, READ_AHEAD_BYTES >> 3)
      const count = Math.ceil((READ_AHEAD_BYTES * 2.5) / bytes)
      const one = await producer()
      for (let n = 0; n < count; n++) await one.put(whole(Buffer.alloc(bytes, String(n % 10)), String(n)), never)
      const taker = await consumer()
      const taking = taker.take(never)
      let most = 0
      for (let n = 0; n < count; n++) {
        const [arrival] = await some(taking, 1)
        expect(arrival?.body[0]).toBe(0x30 + (n % 10))
        await sleep(0.005, never) // a slow destination
        most = Math.max(most, taker.heldBytes)
      }
      expect(most).toBeLessThanOrEqual(READ_AHEAD_BYTES + bytes)
      expect(taker.heldBytes).toBe(0)
    })

    it('stops when the signal aborts, with its reason', async () => {
      const controller = new AbortController()
      const taker = await consumer()
      const next = taker.take(controller.signal).next()
      const one = await producer()
      controller.abort(new Error('stop'))
      await expect(next).rejects.toThrow('stop')
      await expect(one.put(whole('1'), controller.signal)).rejects.toThrow('stop')
      await expect(ground.channel().consumer().open(controller.signal)).rejects.toThrow('stop')
    })

    it('closes twice, on either side, also what was never opened', async () => {
      const [one, taker] = [await producer(), await consumer()]
      for (const each of [one, taker, ground.channel().producer(), ground.channel().consumer()]) {
        await each.close()
        await each.close()
      }
      await put(whole('1'))
      expect((await some((await consumer()).take(never), 1)).map(textOf)).toEqual(['1'])
    })
  })
}
