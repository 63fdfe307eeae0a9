// Membership of a consumer group, and nothing else: which partitions are whose, and the offsets that the group has
// committed. What is read is read by PartitionReader, so that a member stays one however long its destination takes:
// the client sends heartbeats only between fetches, and here it never has anything to fetch.

import { BizonError } from '../../lib/errors.ts'
import { Signpost } from '../../lib/wait.ts'
import { kafkaError, type Place } from './errors.ts'
import { inTime } from './in-time.ts'

/** With all attempts of the client. */
const COMMIT_SECONDS = 90

export interface MemberOptions {
  readonly groupId: string
  readonly topics: readonly string[]
  /** Without a heartbeat for so long a member is given up. Default 45,000. */
  readonly sessionTimeoutMs?: number | undefined
  /** Default 3,000. */
  readonly heartbeatIntervalMs?: number | undefined
  /** How long the others wait for a member to join again. Default 60,000. */
  readonly rebalanceTimeoutMs?: number | undefined
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface Assignment {
  /** Greater for each that follows. */
  readonly generation: number
  readonly partitions: readonly TopicPartition[]
}

export class GroupMember {
  readonly #client: ClientConsumer
  readonly #options: MemberOptions
  readonly #place: Place
  readonly #cut: () => void
  readonly #changes = new Signpost()
  #assignment: Assignment | undefined
  #given: Assignment | undefined
  #isRebalancing = false
  #failure: BizonError | undefined

  /** `cut` closes the connections. */
  constructor(client: ClientConsumer, options: MemberOptions, place: Place, cut: () => void) {
    this.#cut = cut
    this.#client = client
    this.#options = options
    this.#place = { ...place, group: options.groupId }
  }

  /** Joins; resolves before there is an assignment. */
  async open(): Promise<void> {
    const { events } = this.#client
    const isOwn = (topic: string): boolean => this.#options.topics.includes(topic)
    let generation = 0
    this.#client.on(events.GROUP_JOIN, ({ payload }) => {
      const assigned = Object.entries(payload.memberAssignment ?? {}).filter(([topic]) => isOwn(topic))
      this.#client.pause(assigned.map(([topic, partitions]) => ({ topic, partitions })))
      const partitions = assigned.flatMap(([topic, those]) => those.map((partition) => ({ topic, partition })))
      this.#assignment = { generation: ++generation, partitions }
      this.#isRebalancing = false
      this.#changes.change()
    })
    this.#client.on(events.REBALANCING, () => {
      this.#isRebalancing = true
      this.#changes.change()
    })
    this.#client.on(events.CRASH, ({ payload }) => {
      this.#isRebalancing = true
      if (!payload.restart) this.#failure = kafkaError(payload.error, this.#place)
      this.#changes.change()
    })
    try {
      await this.#client.connect()
      await this.#client.subscribe({ topics: [...this.#options.topics] })
      await this.#client.run({ autoCommit: false, eachBatch: async () => {} })
    } catch (error) {
      throw kafkaError(error, this.#place)
    }
  }

  /** Waits for an assignment that was not given yet. Rejects with the signal's reason, or when the group let go for good. */
  async next(signal: AbortSignal): Promise<Assignment> {
    for (;;) {
      signal.throwIfAborted()
      if (this.#failure) throw this.#failure
      if (this.#assignment && this.#assignment !== this.#given) {
        this.#given = this.#assignment
        return this.#given
      }
      await this.#changes.wait(signal)
    }
  }

  /** Whether partitions are still those of this assignment, and nobody has asked for them back. */
  isCurrent({ generation }: Assignment): boolean {
    return !this.#failure && !this.#isRebalancing && this.#assignment?.generation === generation
  }

  /** Resolves when `isCurrent` has become false for it. */
  async ended(assignment: Assignment, signal: AbortSignal): Promise<void> {
    while (this.isCurrent(assignment)) await this.#changes.wait(signal)
  }

  /**
   * Offsets from which the group goes on, of partitions of this assignment. Resolves to whether they were taken: not when
   * the partitions have another owner by now.
   */
  async commit(
    assignment: Assignment,
    offsets: readonly (TopicPartition & { readonly offset: number; readonly metadata?: string })[],
  ): Promise<boolean> {
    if (!this.isCurrent(assignment)) return false
    try {
      const commit = this.#client.commitOffsets(offsets.map((each) => ({ ...each, offset: String(each.offset) })))
      await inTime(commit, this.#place, { seconds: COMMIT_SECONDS, late: this.#cut })
      return true
    } catch (error) {
      if (isLetGo(error)) return false
      throw kafkaError(error, this.#place)
    }
  }

  /** Leaves the group. Never rejects. */
  async close(): Promise<void> {
    this.#failure ??= new BizonError('internal', 'the member has left')
    this.#changes.change()
    await this.#client.disconnect().catch(() => {})
  }
}

const isLetGo = (error: unknown): boolean =>
  /REBALANCE_IN_PROGRESS|ILLEGAL_GENERATION|UNKNOWN_MEMBER_ID|FENCED_INSTANCE_ID/.test(
    String((error as { type?: unknown }).type ?? (error as { cause?: { type?: unknown } }).cause?.type),
  )

/** What is used of the client's consumer. */
export interface ClientConsumer {
  readonly events: { readonly GROUP_JOIN: string; readonly REBALANCING: string; readonly CRASH: string }
  on(event: string, listener: (event: { payload: EventPayload }) => void): void
  connect(): Promise<void>
  disconnect(): Promise<void>
  subscribe(what: { topics: string[] }): Promise<void>
  run(how: { autoCommit: boolean; eachBatch: () => Promise<void> }): Promise<void>
  pause(partitions: { topic: string; partitions: number[] }[]): void
  commitOffsets(offsets: { topic: string; partition: number; offset: string; metadata?: string }[]): Promise<void>
}

interface EventPayload {
  readonly memberAssignment?: Readonly<Record<string, number[]>>
  readonly restart?: boolean
  readonly error?: Error
}
