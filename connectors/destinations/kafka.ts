// Topics of Kafka, exactly once for whoever reads what is committed: messages and the checkpoint they reach to are one
// transaction.
//
//   write   → messages gather; too many are sent ahead, within the transaction
//   flush   → the rest, then the state record (kafka/state.ts), then the commit
//   publish → nothing but the mark of it: what is committed is seen
//   open    → a producer with the transactional id of the target, which settles what a dead process left, and fences a live
//             one; then the state is read (kafka/recover.ts)

import type { Checkpoint, Receipt } from '../../lib/checkpoint.ts'
import { InvalidKey, inDestination } from '../../lib/config/invalid-key.ts'
import {
  type Destination,
  type DestinationContext,
  type DestinationPlan,
  defineDestination,
  type Run,
} from '../../lib/destination.ts'
import { BizonError } from '../../lib/errors.ts'
import { faultPoint } from '../../lib/fault.ts'
import { memorySizes } from '../../lib/memory.ts'
import { idPrefixOf, idSuffixOf } from '../../lib/row-id.ts'
import type { Page } from '../../lib/source.ts'
import {
  connectKafka,
  type KafkaClient,
  type KafkaProducer,
  MessageTooLarge,
  type OutMessage,
  sizeOfMessage,
} from '../kafka.ts'
import { config, connectionIn, type KafkaOptions, tuning } from './kafka/config.ts'
import { Messages, RECORD_HEADER } from './kafka/messages.ts'
import { planTopics } from './kafka/plan.ts'
import { scratchTopics, TopicReader } from './kafka/reader.ts'
import { countedOn, missingTopic, recover, refuseReplacing } from './kafka/recover.ts'
import { StateTopic, type TopicState } from './kafka/state.ts'
import { checkedTopic, targetIn } from './kafka/topics.ts'
import { timestampOf } from './record.ts'
import { refuseNewer } from './recovery.ts'

export type { KafkaOptions } from './kafka/config.ts'

export default defineDestination({
  summary: 'Topics of Kafka, added to exactly once.',
  config,
  tuning,
  onlyAdds: true,
  parses: ({ key }) => (key === undefined ? undefined : 'the key of a message is made of fields of its record'),
  create: (options, context) => new KafkaDestination(options, context),
  reader: (options, { log }) => new TopicReader(options, log),
  scratch: scratchTopics,
})

type Context = Pick<DestinationContext, 'pipeline' | 'stream' | 'mode' | 'log'>

/** For tests: called before each operation that changes something at the brokers; may throw. */
export interface Seams {
  before?(operation: string): void
}

/** Longer than the engine waits with a checkpoint, and what brokers allow at most unless they are told otherwise. */
const TRANSACTION_MS = 900_000

export class KafkaDestination implements Destination {
  readonly #options: KafkaOptions
  readonly #context: Context
  readonly #seams: Seams
  readonly #messages: Messages
  readonly #target: string
  #stateTopic: StateTopic | undefined
  #client: KafkaClient | undefined
  #producer: KafkaProducer | undefined
  #state: TopicState | undefined
  readonly #known = new Set<string>()
  #gathered: { messages: OutMessage[]; bytes: number } = { messages: [], bytes: 0 }
  /** Messages since the last commit, by topic. */
  #counts = new Map<string, number>()
  #ids = { prefix: '', next: 0 }
  #failure: { readonly error: unknown } | undefined

  constructor(options: KafkaOptions, context: Context, seams: Seams = {}) {
    this.#options = options
    this.#context = context
    this.#seams = seams
    connectionIn(options)
    if (options.unnest) {
      throw new InvalidKey(inDestination('unnest'), 'a message has no columns', { hint: 'Leave it out.' })
    }
    this.#messages = new Messages(options)
    this.#target = targetIn(options, context.stream)
    if (options.full_refresh === 'refuse') refuseReplacing(context.mode, this.#target)
  }

  async open(run: Run, signal: AbortSignal): Promise<Checkpoint | undefined> {
    signal.throwIfAborted()
    return this.#once(async () => {
      const { log } = this.#context
      const name = nameOf(run, this.#target)
      const topic = new StateTopic(this.#options.state_topic, name)
      this.#stateTopic = topic
      const site = { target: this.#target, place: topic.place }
      this.#before('connect')
      const client = await this.#connect(signal)
      this.#before('state topic')
      await topic.prepare(client, log, signal)
      // Who has an older epoch must not fence the newer one: this first look is for that alone.
      const seen = await topic.read(client, signal)
      if (seen) refuseNewer(seen, run, { state: topic.place, removing: 'remove the record' })
      this.#before('fence')
      this.#producer = await client.producer(
        { transactionalId: `bizon.${name}`, transactionTimeoutMs: TRANSACTION_MS },
        signal,
      )
      const found = await topic.read(client, signal)
      const state = recover(found, run, site)
      for (const one of countedOn(found, state, run)) {
        if (!(await client.hasTopic(one, signal))) throw missingTopic(one, run)
      }
      await this.#prepareTopic(this.#target, signal)
      faultPoint('commit.before')
      await this.#commit(state)
      const from = state.checkpoint ?? (run.mode === 'stream' ? run.stored : undefined)
      this.#ids = { prefix: idPrefixOf(run.id, run), next: from?.rows ?? 0 }
      return from
    })
  }

  write(page: Page, signal: AbortSignal): Promise<void> {
    return this.#once(async () => {
      signal.throwIfAborted()
      const state = this.#opened()
      if (state.phase !== 'staging') throw new BizonError('internal', 'a published run was written to')
      const facts = {
        extractedAt: timestampOf(page.extractedAt ?? new Date()),
        loadedAt: timestampOf(new Date()),
        run: state.run,
        nextId: () => this.#ids.prefix + idSuffixOf(this.#ids.next++),
      }
      const usual = targetIn(this.#options, page.stream?.name ?? this.#context.stream)
      for (const record of page.records) {
        const topic = record.destinationId === undefined ? usual : checkedTopic(record.destinationId)
        if (!this.#known.has(topic)) await this.#prepareTopic(topic, signal)
        const message = this.#messages.of(record, topic, facts)
        this.#gathered.messages.push(message)
        this.#gathered.bytes += sizeOfMessage(message)
        this.#counts.set(topic, (this.#counts.get(topic) ?? 0) + 1)
        if (this.#gathered.bytes >= memorySizes().gathered) {
          await this.#send()
          signal.throwIfAborted()
        }
      }
    })
  }

  flush(checkpoint: Checkpoint): Promise<Receipt | undefined> {
    return this.#once(async () => {
      const state = this.#opened()
      await this.#send()
      faultPoint('stage.after')
      const topics = { ...state.topics }
      for (const [topic, count] of this.#counts) topics[topic] = (topics[topic] ?? 0) + count
      faultPoint('commit.before')
      await this.#commit({ ...state, checkpoint, topics })
      this.#counts = new Map()
      // Says that there is a state to be found: its absence is then an accident, not a fresh start.
      return { state: this.#options.state_topic, target: this.#target }
    })
  }

  publish(): Promise<void> {
    return this.#once(async () => {
      const state = this.#opened()
      if (!state.checkpoint?.end) throw new BizonError('internal', 'publish was called before the end was flushed')
      if (state.mode === 'stream' || state.phase === 'published') return
      faultPoint('publish.before')
      await this.#commit({ ...state, phase: 'published', publishedBy: state.run })
      faultPoint('publish.after')
    })
  }

  async close(): Promise<void> {
    await this.#client?.close()
  }

  async check(signal: AbortSignal): Promise<void> {
    const client = await this.#connect(signal)
    try {
      if (this.#options.create_topics && !(await client.hasTopic(this.#target, signal))) return
      await client.partitions(this.#target, signal)
    } finally {
      await client.close()
    }
  }

  async plan(run: Run, signal: AbortSignal): Promise<DestinationPlan> {
    const client = await this.#connect(signal)
    const topic = new StateTopic(this.#options.state_topic, nameOf(run, this.#target))
    const { log } = this.#context
    return planTopics({ client, options: this.#options, target: this.#target, topic, run, log }, signal)
  }

  outputs(): readonly string[] {
    const topics = Object.keys(this.#state?.topics ?? {})
    return (topics.length > 0 || !this.#state ? topics : [this.#target]).map((topic) => `topic ${topic}`)
  }

  async #connect(signal: AbortSignal): Promise<KafkaClient> {
    this.#client = await connectKafka(
      connectionIn(this.#options),
      { code: 'destination', log: this.#context.log },
      signal,
    )
    return this.#client
  }

  /** The topic is there, or is made. */
  async #prepareTopic(topic: string, signal: AbortSignal): Promise<void> {
    const client = this.#use(this.#client)
    if (this.#options.create_topics && !(await client.hasTopic(topic, signal))) {
      this.#before('create topic')
      await client.createTopic(topic, {}, signal)
    } else {
      await client.partitions(topic, signal)
    }
    this.#known.add(topic)
  }

  /** What has gathered, within the transaction. */
  async #send(): Promise<void> {
    const { messages } = this.#gathered
    if (messages.length === 0) return
    this.#gathered = { messages: [], bytes: 0 }
    const producer = this.#use(this.#producer)
    if (!producer.inTransaction) await producer.begin()
    this.#before('send')
    await producer.send(messages)
    faultPoint('stage.mid')
  }

  /** Ends the transaction with the state: the two are one step. */
  async #commit(state: TopicState): Promise<void> {
    const producer = this.#use(this.#producer)
    if (!producer.inTransaction) await producer.begin()
    this.#before('state')
    await producer.send([this.#use(this.#stateTopic).message(state)])
    faultPoint('commit.mid')
    this.#before('commit')
    await producer.commit()
    this.#state = state
    faultPoint('commit.after')
  }

  #opened(): TopicState {
    return this.#use(this.#state)
  }

  #use<T>(part: T | undefined): T {
    if (part !== undefined) return part
    throw new BizonError('internal', 'the kafka destination is not open')
  }

  #before(operation: string): void {
    this.#seams.before?.(operation)
  }

  /** After a failure nothing is known of what was sent: later calls fail with the same error, and the next `open` finds out. */
  async #once<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failure) throw this.#failure.error
    try {
      return await work()
    } catch (error) {
      const shown = error instanceof MessageTooLarge ? tooLarge(error) : error
      this.#failure = { error: shown }
      throw shown
    }
  }
}

/** The same in every process of the pipeline, and another one for every target. */
const nameOf = ({ pipeline, source, stream }: Run, target: string): string =>
  [pipeline, source, stream, target].join('/')

function tooLarge(error: MessageTooLarge): BizonError {
  const { topic, headers, key } = error.lost
  const id = headers?.[RECORD_HEADER] ?? key
  const size = sizeOfMessage(error.lost)
  return new BizonError(
    'destination',
    `record ${JSON.stringify(String(id))}: its message of ${size} bytes is larger than topic ${topic} takes`,
    { hint: `Raise max.message.bytes of the topic, or leave the record out.`, cause: error },
  )
}
