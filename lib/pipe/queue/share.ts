// A loader among several: it loads the partitions that it is given, each as a pipeline of its own, and lets go of those that are to go
// to another one. It has done its work when a run is published in all partitions, whoever loaded them.

import { setMaxListeners } from 'node:events'
import type { Assignment, Channel, ChannelConsumer } from '../../channel.ts'
import type { ConfigOf } from '../../config.ts'
import { BizonError, messageOf } from '../../errors.ts'
import { type Outcome, together } from '../../events.ts'
import { type Log, silentLog } from '../../log.ts'
import { shareMemory } from '../../memory.ts'
import {
  PARTITIONS_KEY,
  type Partition,
  partIdentities,
  partitionName,
  partRun,
  RECENT_JOBS,
  wholeRun,
} from '../../partition.ts'
import type { Identity, StateStore } from '../../state.ts'
import { Linked, never, sleep } from '../../wait.ts'
import type { LoadQueueOptions } from './load.ts'
import type { MessageHead } from './message.ts'
import { TellingPartitions } from './told.ts'

/** One sequence of messages to be loaded. */
export interface One {
  readonly consumer: ChannelConsumer
  /** Absent: there is one. */
  readonly partition?: Partition
  readonly options: LoadQueueOptions
  /** Told of the message with which each pipe begins. */
  readonly begins?: (head: MessageHead) => void
}

export interface SharedParts {
  readonly channel: Channel
  readonly partitions: number
  readonly config: ConfigOf<'destination'>
  readonly options: LoadQueueOptions
  /** Resolves once a run of it is published, or it was stopped. */
  readonly loadOne: (one: One) => Promise<Outcome>
}

/** How often it is looked whether a run is published in all partitions, at first and later. */
const FIRST_SECONDS = 0.02
const LOOK_SECONDS = 1

export async function loadShared(parts: SharedParts): Promise<Outcome> {
  const { channel } = parts
  const group = channel.group?.()
  if (!group) {
    throw parts.config.invalid(PARTITIONS_KEY, `is ${parts.partitions}, and this broker does not share partitions`, {
      hint: 'Set it to 1, or use kafka.',
    })
  }
  const shared = new Shared(parts)
  try {
    await group.open(shared.halted)
    for await (const assignment of group.assignments(shared.halted)) shared.take(assignment)
  } catch (error) {
    shared.fail(error)
  } finally {
    await shared.settled()
    await group.close()
  }
  return shared.outcome()
}

class Shared {
  readonly #parts: SharedParts
  readonly #log: Log
  readonly #told: TellingPartitions
  /** First failure, or that all is done. */
  readonly #ended = new AbortController()
  readonly #failed = new AbortController()
  readonly #halted: AbortSignal
  /** Of what partitions do: each of them listens while it is here. */
  readonly #stopping: AbortSignal
  readonly #failing: AbortSignal
  /** By partition; never reject. */
  readonly #working = new Map<number, Promise<void>>()
  /** By partition, of all that was loaded of it here, however often it came and went. */
  readonly #outcomes = new Map<number, Outcome>()
  /** What the partitions are of. Undefined: nobody has said yet. */
  #stream: Identity | undefined
  /** The run that was published in a partition, and is looked for in the others. */
  #run: string | undefined
  #looking: Promise<void> | undefined
  /** Runs of partitions. */
  readonly #published = new Set<string>()
  #isComplete = false

  constructor(parts: SharedParts) {
    const { signal = never, stop = never } = parts.options
    this.#parts = parts
    this.#halted = AbortSignal.any([signal, stop, this.#ended.signal])
    this.#stopping = AbortSignal.any([stop, this.#ended.signal])
    this.#failing = AbortSignal.any([signal, this.#failed.signal])
    setMaxListeners(0, this.#stopping, this.#failing)
    this.#log = parts.options.log ?? silentLog
    this.#told = new TellingPartitions(this.#log)
  }

  get halted(): AbortSignal {
    return this.#halted
  }

  /** A partition that was let go of may be given again. */
  take(assignment: Assignment): void {
    const { partition } = assignment
    const before = this.#working.get(partition)
    const work = (before ?? Promise.resolve()).then(() => this.#work(assignment))
    this.#working.set(
      partition,
      work.catch((error) => this.fail(error)),
    )
  }

  /** Ends the work on all partitions. */
  fail(error: unknown): void {
    // Whoever waits for messages is told to stop by that.
    if (error === this.#halted.reason) return
    this.#failed.abort(error)
    this.#ended.abort(error)
  }

  async settled(): Promise<void> {
    await Promise.all(this.#working.values())
    await this.#looking
    this.#told.end()
  }

  outcome(): Outcome {
    const { signal = never, stop = never } = this.#parts.options
    this.#failed.signal.throwIfAborted()
    if (!this.#isComplete) {
      signal.throwIfAborted()
      if (this.#outcomes.size === 0) stop.throwIfAborted()
    }
    const outcomes = [...this.#outcomes.values()]
    const sum = (of: 'rows' | 'bytes' | 'pages' | 'checkpoints' | 'totalRows'): number =>
      outcomes.reduce((total, one) => total + one[of], 0)
    return {
      status: this.#isComplete ? 'complete' : 'stopped',
      job: this.#run ?? wholeRun(outcomes[0]?.job ?? ''),
      rows: sum('rows'),
      bytes: sum('bytes'),
      pages: sum('pages'),
      checkpoints: sum('checkpoints'),
      totalRows: sum('totalRows'),
      seconds: Math.max(0, ...outcomes.map(({ seconds }) => seconds)),
      outputs: [...new Set(outcomes.flatMap(({ outputs }) => outputs))],
    }
  }

  async #work({ partition: index, consumer, revoked }: Assignment): Promise<void> {
    const { partitions, options, loadOne } = this.#parts
    const { until, meter, ...rest } = options
    const partition = { index, of: partitions }
    const [stop, fail] = [new Linked(this.#stopping, revoked), new Linked(this.#failing)]
    const stopping = stop.signal
    const leave = shareMemory()
    try {
      this.#told.come(partition)
      await this.#takeOver(partition)
      for (;;) {
        const outcome = await loadOne({
          consumer,
          partition,
          begins: ({ pipeline: name, source, stream }) => {
            this.#stream = { name, source, stream }
          },
          options: {
            ...rest,
            ...(meter && { meter: meter.part(index) }),
            signal: fail.signal,
            stop: stopping,
            ...(until && { until: () => partOf(until(), index) }),
          },
        })
        this.#outcomes.set(index, together(this.#outcomes.get(index), outcome))
        if (stopping.aborted) break
        this.#look(wholeRun(outcome.job))
      }
    } catch (error) {
      if (error !== stopping.reason) {
        if (!revoked.aborted) throw error
        this.#log.warn(`${partitionName(partition)}: ${messageOf(error)}`)
      }
    } finally {
      leave()
      stop.release()
      fail.release()
      await consumer.close()
    }
    if (revoked.aborted && !this.#ended.signal.aborted) this.#told.go(partition)
  }

  /** A run that is published here, and not in all partitions, is that which the loaders are at. */
  async #takeOver({ index }: Partition): Promise<void> {
    const { source } = this.#parts.config
    if (!source) return
    this.#stream ??= { name: this.#parts.config.name, source: source.name, stream: source.stream }
    const identity = this.#identities()[index] as Identity
    const run = await this.#inStore(async (store) => {
      const [newest] = await store.jobs(identity, 1)
      return newest?.status === 'succeeded' && !(await this.#isEverywhere(store, newest.id)) ? newest.id : undefined
    })
    if (run !== undefined) this.#look(wholeRun(run))
  }

  /** Ends all once the run is published in every partition. */
  #look(run: string): void {
    if (this.#run === run && this.#looking) return
    this.#run = run
    this.#looking ??= (async () => {
      await this.#inStore(async (store) => {
        for (let wait = FIRST_SECONDS; !this.halted.aborted; wait = Math.min(LOOK_SECONDS, 2 * wait)) {
          if (await this.#isEverywhere(store, this.#run ?? run)) {
            this.#isComplete = true
            this.#ended.abort(new BizonError('interrupted', 'the run is published in all partitions'))
          }
          await sleep(wait, this.halted)
        }
      })
    })().catch((error) => this.fail(error))
  }

  /** Asks only for what is not known to be published: of all partitions the first that is not, as a rule. */
  async #isEverywhere(store: StateStore, run: string): Promise<boolean> {
    for (const [index, identity] of this.#identities().entries()) {
      const id = partRun(run, index)
      if (this.#published.has(id)) continue
      const job = (await store.jobs(identity, RECENT_JOBS)).find((one) => one.id === id)
      if (job?.status !== 'succeeded') return false
      this.#published.add(id)
    }
    return true
  }

  #identities(): Identity[] {
    return this.#stream ? partIdentities(this.#stream, this.#parts.partitions) : []
  }

  async #inStore<T>(work: (store: StateStore) => Promise<T>): Promise<T> {
    const { backend } = this.#parts.config.engine
    const store = backend.definition.create(backend, { log: this.#log })
    try {
      await store.open()
      return await work(store)
    } finally {
      await store.close()
    }
  }
}

const partOf = (run: string | undefined, index: number): string | undefined =>
  run === undefined ? undefined : partRun(run, index)
