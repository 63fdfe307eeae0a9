// The state record of a target: which run has written what, and the checkpoint that its messages reach to. It is sent in the
// transaction of the messages themselves, which makes the two one step. The topic is compacted: of each key the newest
// record stays.

import { BizonError } from '../../../lib/errors.ts'
import { parseJson, stringifyJson } from '../../../lib/json.ts'
import type { Log } from '../../../lib/log.ts'
import type { Json } from '../../../lib/record.ts'
import type { KafkaClient, Message, OutMessage } from '../../kafka.ts'
import type { Held } from '../recovery.ts'

export interface TopicState extends Held {
  /** Messages of the run, by topic. */
  readonly topics: { readonly [topic: string]: number }
}

const VERSION = 1
/** One alone, so that the newest record is the last one. */
const PARTITION = 0

export class StateTopic {
  readonly #topic: string
  readonly #key: string
  /** Where a person finds it. */
  readonly place: string
  /** Up to where it was read. */
  #next = 0
  #last: TopicState | undefined
  /** Of transactions whose end was not read yet, by producer. */
  readonly #begun = new Map<string, { readonly state: TopicState | undefined }>()

  constructor(topic: string, key: string) {
    this.#topic = topic
    this.#key = key
    this.place = `the record of ${key} in topic ${topic}`
  }

  /** Makes the topic, if it is not there, and sees whether it keeps what it is for. */
  async prepare(client: KafkaClient, log: Log, signal: AbortSignal): Promise<void> {
    if (!(await client.hasTopic(this.#topic, signal))) {
      await client.createTopic(this.#topic, { partitions: 1, config: { 'cleanup.policy': 'compact' } }, signal)
    }
    await this.check(client, log, signal)
  }

  /** Rejects where it is there, and would lose checkpoints. */
  async check(client: KafkaClient, log: Log, signal: AbortSignal): Promise<void> {
    let policy: string | undefined
    try {
      policy = (await client.topicConfig(this.#topic, signal))['cleanup.policy']
    } catch (error) {
      signal.throwIfAborted()
      log.debug(`the settings of topic ${this.#topic} are not shown to this user: ${String(error)}`)
    }
    if (policy === undefined || policy === 'compact') return
    throw new BizonError(
      'destination',
      `topic ${this.#topic} has cleanup.policy ${policy}: checkpoints in it would be lost`,
      {
        hint: 'Set cleanup.policy=compact for it, or choose another state_topic.',
      },
    )
  }

  /**
   * The last that was committed. Whoever has written before is to be fenced first: what it has begun is then committed, or
   * not. Transactions of others, which may stay open for long, are not waited for: which of ours were committed is told by
   * where they end.
   */
  async read(client: KafkaClient, signal: AbortSignal): Promise<TopicState | undefined> {
    const end = (await client.ends(this.#topic, signal)).get(PARTITION) ?? 0
    const bounds = (await client.watermarks(this.#topic, signal)).find(({ partition }) => partition === PARTITION)
    const reader = client.reader({ isolation: 'read_uncommitted', markers: true })
    this.#next = Math.max(this.#next, bounds?.low ?? 0)
    reader.assign(this.#topic, PARTITION, this.#next)
    while (this.#next < end) {
      for (const { messages, next } of await reader.fetch(signal)) {
        for (const message of messages) this.#take(message)
        this.#next = next
      }
    }
    return this.#last
  }

  #take({ key, value, transaction }: Message): void {
    if (transaction?.end !== undefined) {
      const begun = this.#begun.get(transaction.producerId)
      this.#begun.delete(transaction.producerId)
      if (begun && transaction.end === 'commit') this.#last = begun.state
      return
    }
    if (key?.toString() !== this.#key) return
    const state = value === null ? undefined : this.#parse(value.toString())
    // By hand, perhaps, to be rid of it.
    if (transaction) this.#begun.set(transaction.producerId, { state })
    else this.#last = state
  }

  message(state: TopicState): OutMessage {
    const value = stringifyJson({ version: VERSION, ...state } as unknown as Json)
    return { topic: this.#topic, key: this.#key, value, partition: PARTITION }
  }

  #parse(text: string): TopicState {
    const unreadable = (why: string): BizonError =>
      new BizonError('edited', `${this.place} cannot be read: ${why}`, {
        hint: 'Use the version of bizon that has written it, or one that is newer.',
      })
    let value: Json
    try {
      value = parseJson(text)
    } catch {
      throw unreadable('it is not JSON')
    }
    const { version, ...state } = value as { version?: Json } & Record<string, Json>
    if (version !== VERSION) throw unreadable(`it is of version ${String(version)}, and this program knows ${VERSION}`)
    const { run, epoch, mode, phase, topics } = state
    if (typeof run !== 'string' || typeof epoch !== 'number' || !mode || !phase || !topics) {
      throw unreadable('something is missing')
    }
    return state as unknown as TopicState
  }
}
