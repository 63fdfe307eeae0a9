// Topics read back by a plain reader of what is committed, for `bizon verify` and `bizon chaos`: from the first offset there
// is to the end as it was at the start. And topics under a prefix of their own to try things in.

import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { type Keeps, payloadOf, type Reader, type Scratch, type StoredRow } from '../../../lib/audit/reader.ts'
import { BizonError } from '../../../lib/errors.ts'
import { type Log, silentLog } from '../../../lib/log.ts'
import { never, sleep } from '../../../lib/wait.ts'
import { connectKafka, headerText, type KafkaClient, type Message, type Watermarks } from '../../kafka.ts'
import { namingOf } from '../naming.ts'
import { connectionIn, type KafkaOptions } from './config.ts'
import { checkedTopic } from './topics.ts'

/** Brokers write the end of a transaction a moment after they have said that it is committed. */
const SETTLING_SECONDS = 2

interface Bounds {
  /** From `low` up to `high`, by partition. */
  readonly marks: readonly Watermarks[]
  /** Why messages may be gone, or not be seen. */
  readonly gone: string | undefined
}

export class TopicReader implements Reader {
  readonly keeps: Keeps
  readonly #options: KafkaOptions
  readonly #log: Log
  readonly #headers: { readonly rowId: string; readonly recordId: string } | undefined
  /** Of a topic that is read twice the same messages are read. */
  readonly #bounds = new Map<string, Bounds>()
  #client: KafkaClient | undefined

  constructor(options: KafkaOptions, log: Log = silentLog) {
    this.#options = options
    this.#log = log
    const { rowId, recordId } = namingOf({ metadata: options.metadata, unnest: false })
    if (rowId !== undefined && recordId !== undefined) this.#headers = { rowId, recordId }
    this.keeps = {
      of: this.#headers ? 'records' : 'payloads',
      ...(this.#headers && { ids: true }),
      addsInView: 'batch',
      onlyAdds: true,
      inOrder: false,
    }
  }

  place(destinationId: string): string {
    return `topic ${destinationId}`
  }

  async *read(destinationId: string, signal: AbortSignal): AsyncGenerator<readonly StoredRow[], void, void> {
    this.#client ??= await connectKafka(connectionIn(this.#options), { code: 'destination', log: this.#log }, signal)
    const client = this.#client
    const topic = checkedTopic(destinationId)
    const bounds = this.#bounds.get(topic) ?? (await boundsOf(client, topic, signal))
    if (!bounds) return
    this.#bounds.set(topic, bounds)
    const reader = client.reader({ isolation: 'read_committed' })
    const ends = new Map<number, number>()
    for (const { partition, low, high } of bounds.marks) {
      if (low >= high) continue
      ends.set(partition, high)
      reader.assign(topic, partition, low)
    }
    while (ends.size > 0) {
      for (const { partition, messages, next } of await reader.fetch(signal)) {
        const end = ends.get(partition)
        if (end === undefined) continue
        const rows: StoredRow[] = []
        for (const message of messages) if (message.offset < end) rows.push(this.#rowOf(message))
        if (rows.length > 0) yield rows
        if (next < end) continue
        ends.delete(partition)
        reader.unassign(topic, partition)
      }
    }
  }

  gone(destinationId: string): string | undefined {
    return this.#bounds.get(destinationId)?.gone
  }

  async close(): Promise<void> {
    await this.#client?.close()
    this.#client = undefined
  }

  #rowOf(message: Message): StoredRow {
    const text = (name: string | undefined): string | undefined =>
      name === undefined ? undefined : headerText(message, name)
    const [rowId, recordId] = [text(this.#headers?.rowId), text(this.#headers?.recordId)]
    const { value } = message
    return {
      ...(rowId !== undefined && { rowId }),
      ...(recordId !== undefined && { recordId }),
      data: value === null ? undefined : payloadOf(value),
    }
  }
}

/** Undefined: there is no such topic. */
async function boundsOf(client: KafkaClient, topic: string, signal: AbortSignal): Promise<Bounds | undefined> {
  if (!(await client.hasTopic(topic, signal))) return undefined
  const ends = await client.ends(topic, signal)
  const patience = performance.now() + SETTLING_SECONDS * 1000
  const endOf = (partition: number): number => ends.get(partition) ?? 0
  for (;;) {
    const settled = await client.watermarks(topic, signal)
    const isOpen = settled.some(({ partition, high }) => high < endOf(partition))
    if (isOpen && performance.now() < patience) {
      await sleep(0.05, signal)
      continue
    }
    const marks = settled.map(({ partition, low, high }) => ({
      partition,
      low,
      high: Math.min(high, endOf(partition)),
    }))
    return { marks, gone: await goneOf(client, topic, { marks, endOf }, signal) }
  }
}

async function goneOf(
  client: KafkaClient,
  topic: string,
  { marks, endOf }: { readonly marks: readonly Watermarks[]; readonly endOf: (partition: number) => number },
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const { partition, low, high } of marks) {
    if (low > 0) return `what was before offset ${low} of partition ${partition} was deleted, by retention or by hand`
    if (high < endOf(partition))
      return `in partition ${partition} a transaction that began at offset ${high} has not ended, and hides what is behind it`
  }
  try {
    const policy = (await client.topicConfig(topic, signal))['cleanup.policy'] ?? ''
    return policy.includes('compact') ? 'it is compacted: of each key the newest message stays' : undefined
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof BizonError && error.retriable) throw error
    return 'this user is not shown whether it is compacted'
  }
}

const LONGEST_NAME = 249

/** Topics whose names begin with that of the folder. */
export function scratchTopics(options: KafkaOptions, folder: string): Scratch<KafkaOptions> {
  const prefix = `${basename(folder)}.`
  const idOf = (destinationId: string): string => {
    const name = prefix + destinationId
    if (name.length <= LONGEST_NAME) return name
    return `${prefix}${createHash('sha256').update(destinationId).digest('hex')}`
  }
  return {
    config: {
      ...options,
      destinationId: idOf(options.destinationId),
      state_topic: idOf(options.state_topic),
      create_topics: true,
    },
    kept: 'server',
    idOf,
    async remove() {
      const client = await connectKafka(connectionIn(options), { code: 'destination' }, never)
      try {
        const own = (await client.topics()).filter((topic) => topic.startsWith(prefix))
        if (own.length > 0) await client.deleteTopics(own)
      } finally {
        await client.close()
      }
    },
  }
}
