// Several partitions of a broker in memory, and loaders that share them: each partition is one loader's at a time, and goes to another
// one when that has let go of it.

import type { Assignment, Channel, ChannelGroup, ChannelProducer, Message, Outgoing } from '../../lib/channel.ts'
import { BizonError } from '../../lib/errors.ts'
import { Signpost } from '../../lib/wait.ts'
import { type BrokerOptions, type BrokerStep, MemoryBroker } from './memory-broker.ts'

export class PartitionedBroker {
  readonly partitions: readonly MemoryBroker[]
  readonly changed = new Signpost()
  readonly #options: Required<BrokerOptions>
  /** Who has which. */
  readonly #owners: (Member | undefined)[]
  members: Member[] = []
  producer: unknown
  last: string | undefined
  interfere: (step: BrokerStep) => void = () => {}

  constructor(count: number, options: BrokerOptions = {}) {
    this.partitions = Array.from({ length: count }, () => new MemoryBroker(options))
    this.#options = (this.partitions[0] as MemoryBroker).options
    this.#owners = this.partitions.map(() => undefined)
    for (const one of this.partitions) one.interfere = (step) => this.interfere(step)
  }

  /** Messages that were not acknowledged. */
  get waiting(): number {
    return this.partitions.reduce((sum, { waiting }) => sum + waiting, 0)
  }

  channel(): Channel {
    const { messageBytes, lingerSeconds, isShared } = this.#options
    return {
      place: 'a queue in memory',
      partitions: this.partitions.length,
      ...{ messageBytes, lingerSeconds, isShared },
      producer: () => new PartitionedProducer(this, this.#options.hasTransactions),
      consumer: () => {
        throw new TypeError('it has several partitions')
      },
      group: () => new Member(this),
    }
  }

  /** Partitions go round: to the next member each, as after one has come or gone. */
  rebalance(turn = 0): void {
    for (const [at, owner] of this.#owners.entries()) {
      const wanted = this.members[(at + turn) % this.members.length]
      if (owner === wanted) continue
      if (owner) owner.revoke(at)
      else if (wanted) {
        this.#owners[at] = wanted
        wanted.give(at)
      }
    }
  }

  letGo(at: number): void {
    this.#owners[at] = undefined
    this.rebalance()
  }

  /** Its loader is gone, or does not answer any more: others get what it had. */
  lose(member: Member): void {
    this.members = this.members.filter((one) => one !== member)
    for (const [at, owner] of this.#owners.entries()) if (owner === member) this.#owners[at] = undefined
    this.rebalance()
  }
}

class PartitionedProducer implements ChannelProducer {
  readonly #broker: PartitionedBroker
  readonly #hasTransactions: boolean
  #group: (Message & { readonly partition: number })[] = []

  constructor(broker: PartitionedBroker, hasTransactions: boolean) {
    this.#broker = broker
    this.#hasTransactions = hasTransactions
  }

  async open(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#broker.producer = this
  }

  async last(): Promise<string | undefined> {
    return this.#broker.last
  }

  async put({ partition = 0, headers, body, last }: Outgoing, signal: AbortSignal): Promise<void> {
    await Promise.resolve()
    signal.throwIfAborted()
    const broker = this.#broker
    if (broker.producer !== this) throw new BizonError('fenced', 'another producer has taken over')
    broker.interfere('put')
    this.#group.push({ partition, headers, body: Uint8Array.from(body) })
    if (last !== undefined || !this.#hasTransactions) {
      for (const one of this.#group) broker.partitions[one.partition]?.add([one])
      this.#group = []
    }
    broker.last = last ?? broker.last
    broker.interfere('putted')
  }

  async close(): Promise<void> {
    this.#group = []
  }
}

export class Member implements ChannelGroup {
  readonly #broker: PartitionedBroker
  readonly #given: Assignment[] = []
  readonly #revoking = new Map<number, AbortController>()
  readonly #more = new Signpost()

  constructor(broker: PartitionedBroker) {
    this.#broker = broker
  }

  async open(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#broker.members.push(this)
    this.#broker.rebalance()
  }

  async *assignments(signal: AbortSignal): AsyncGenerator<Assignment, void, void> {
    for (;;) {
      signal.throwIfAborted()
      const one = this.#given.shift()
      if (one) yield one
      else await this.#more.wait(signal)
    }
  }

  give(partition: number): void {
    const revoking = new AbortController()
    this.#revoking.set(partition, revoking)
    const broker = this.#broker
    const source = broker.partitions[partition] as MemoryBroker
    const inner = source.channel().consumer()
    // Never waits: there is one of them at a time.
    source.consumers = [inner as (typeof source.consumers)[number]]
    let isOpen = true
    const consumer: Assignment['consumer'] = {
      get heldBytes() {
        return inner.heldBytes
      },
      open: async () => {},
      async *take(taking) {
        try {
          for await (const one of inner.take(AbortSignal.any([taking, revoking.signal]))) {
            if (revoking.signal.aborted) return
            yield one
          }
        } catch (error) {
          if (!revoking.signal.aborted || taking.aborted) throw error
        }
      },
      refuse: (arrival, reason) => inner.refuse(arrival, reason),
      close: async () => {
        if (!isOpen) return
        isOpen = false
        await inner.close()
        if (broker.members.includes(this)) broker.letGo(partition)
      },
    }
    this.#given.push({ partition, consumer, revoked: revoking.signal })
    this.#more.change()
  }

  revoke(partition: number): void {
    this.#revoking.get(partition)?.abort(new Error(`partition ${partition} goes to another one`))
  }

  async close(): Promise<void> {
    for (const { consumer } of this.#given.splice(0)) await consumer.close()
    this.#broker.lose(this)
  }
}
