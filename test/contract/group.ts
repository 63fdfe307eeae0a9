// What every broker does that shares partitions among loaders. A broker runs it in one line, on a real server.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Assignment, Channel, ChannelGroup, Outgoing } from '../../lib/channel.ts'
import { never, Signpost } from '../../lib/wait.ts'

const PARTITIONS = 3

export interface GroupGround {
  /** With three partitions. */
  channel(): Channel
}

/** A loader that notes what it is given, and acknowledges none of it unless it is told to. */
class Loader {
  readonly group: ChannelGroup
  readonly has = new Set<number>()
  readonly seen: string[] = []
  readonly #ending = new AbortController()
  readonly #changed: Signpost
  readonly #acks: boolean
  #working: Promise<unknown> = Promise.resolve()

  constructor(channel: Channel, changed: Signpost, acks: boolean) {
    this.group = channel.group?.() as ChannelGroup
    this.#changed = changed
    this.#acks = acks
  }

  async start(): Promise<void> {
    await this.group.open(never)
    const works: Promise<void>[] = []
    const { signal } = this.#ending
    this.#working = (async () => {
      for await (const one of this.group.assignments(signal)) works.push(this.#work(one, signal))
    })()
      .catch(() => {})
      .then(() => Promise.all(works))
  }

  async stop(): Promise<void> {
    this.#ending.abort(new Error('enough'))
    await this.#working
    await this.group.close()
  }

  async #work({ partition, consumer, revoked }: Assignment, signal: AbortSignal): Promise<void> {
    this.has.add(partition)
    this.#changed.change()
    try {
      for await (const arrival of consumer.take(AbortSignal.any([signal, revoked]))) {
        this.seen.push(`${partition}:${Buffer.from(arrival.body)}`)
        if (this.#acks) await arrival.ack()
        this.#changed.change()
      }
    } catch (error) {
      if (!signal.aborted && !revoked.aborted) throw error
    } finally {
      this.has.delete(partition)
      await consumer.close()
      this.#changed.change()
    }
  }
}

export function groupContract(name: string, make: () => Promise<GroupGround>): void {
  describe(`partitions of ${name}`, () => {
    let ground: GroupGround
    let changed: Signpost
    const loaders: Loader[] = []

    beforeEach(async () => {
      ground = await make()
      changed = new Signpost()
    })
    afterEach(async () => {
      for (const one of loaders.splice(0)) await one.stop()
    })

    async function loader(acks = false): Promise<Loader> {
      const one = new Loader(ground.channel(), changed, acks)
      await one.start()
      loaders.push(one)
      return one
    }

    async function put(...messages: readonly (readonly [partition: number, body: string, last?: string])[]) {
      const producer = ground.channel().producer()
      await producer.open(never)
      for (const [partition, body, last] of messages) {
        const message: Outgoing = { partition, headers: { of: 'test' }, body: Buffer.from(body), ...(last && { last }) }
        await producer.put(message, never)
      }
      const last = await producer.last()
      await producer.close()
      return last
    }

    const until = async (isSo: () => boolean): Promise<void> => {
      while (!isSo()) await changed.wait(never)
    }
    const sizes = (): number[] => loaders.map(({ has }) => has.size).sort()

    it('take the messages of a group together, each in its own order, and what stands behind it', async () => {
      expect(ground.channel().partitions).toBe(PARTITIONS)
      expect(await put([1, 'a'], [2, 'b'], [1, 'c'], [0, 'd', 'one'], [1, 'e'], [2, 'f'])).toBe('one')
      expect(await put([2, 'g'], [0, 'h', 'two'])).toBe('two')
      const { seen } = await loader()
      await until(() => seen.length >= 6)
      expect(seen.filter((one) => one.startsWith('0'))).toEqual(['0:d', '0:h'])
      expect(seen.filter((one) => one.startsWith('1'))).toEqual(['1:a', '1:c'])
      expect(seen.filter((one) => one.startsWith('2'))).toEqual(['2:b', '2:g'])
    })

    it('are each of one loader, whoever comes and goes; what was not acknowledged goes along', async () => {
      await put([1, 'a'], [2, 'b'], [0, 'c', 'one'])
      const first = await loader(true)
      await until(() => first.seen.length === 3)
      const second = await loader()
      const third = await loader()
      await until(() => sizes().join() === '1,1,1')
      await put([1, 'd'], [2, 'e'], [0, 'f', 'two'])
      const all = (): string[] => loaders.flatMap(({ seen }) => seen)
      await until(() => ['0:f', '1:d', '2:e'].every((one) => all().includes(one)))
      expect(all().filter((one) => /[abc]$/.test(one))).toHaveLength(3)
      loaders.splice(loaders.indexOf(second), 1)
      await second.stop()
      loaders.splice(loaders.indexOf(third), 1)
      await third.stop()
      await until(() => first.has.size === PARTITIONS && ['0:f', '1:d', '2:e'].every((one) => first.seen.includes(one)))
    })
  })
}
