// What is durable is told to the consumer group, for whoever watches how far behind it is. Nothing depends on it but the
// very first start of a stream, so that it is done beside the reading, the newest only, and a failure is told once.

import { messageOf } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import type { Position } from '../../../lib/source.ts'
import { sleep } from '../../../lib/wait.ts'
import { OURS } from './bounds.ts'
import type { Broker } from './broker.ts'
import { Offsets } from './offsets.ts'

const PAUSE_SECONDS = 1
/** Of what is told when the source is closed: a broker that is away must not keep the program from ending. */
const GOODBYE_SECONDS = 5

type Connect = (signal: AbortSignal) => Promise<Pick<Broker, 'commit' | 'close'>>

export class Commits {
  readonly #connect: Connect
  readonly #group: string
  readonly #log: Log
  readonly #closing = new AbortController()
  readonly #late = new AbortController()
  #client: Awaited<ReturnType<Connect>> | undefined
  #newest: Position | undefined
  #working: Promise<void> | undefined
  #failed = false

  /** Connects when there is something to tell. */
  constructor(connect: Connect, group: string, log: Log) {
    this.#connect = connect
    this.#group = group
    this.#log = log
  }

  /** Does not wait. */
  add(position: Position): void {
    this.#newest = position
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined
    })
  }

  /** Resolves once the newest is told, or cannot be. */
  async close(): Promise<void> {
    this.#closing.abort()
    const timer = setTimeout(() => this.#late.abort(), GOODBYE_SECONDS * 1000)
    await this.#working
    clearTimeout(timer)
    await this.#client?.close()
    this.#client = undefined
  }

  async #work(): Promise<void> {
    while (this.#newest) {
      const position = this.#newest
      this.#newest = undefined
      await this.#tell(position)
      await sleep(PAUSE_SECONDS, this.#closing.signal)
    }
  }

  async #tell(position: Position): Promise<void> {
    const offsets = [...Offsets.of(position)].map(({ topic, partition, next }) => ({
      topic,
      partition,
      offset: next,
      metadata: OURS,
    }))
    const { signal } = this.#late
    try {
      this.#client ??= await this.#connect(signal)
      await this.#client.commit(this.#group, offsets, signal)
      if (this.#failed) this.#log.info(`offsets are committed to the group ${this.#group} again`)
      this.#failed = false
    } catch (error) {
      if (!this.#failed) {
        this.#log.warn(
          `offsets cannot be committed to the group ${this.#group}, which matters only to who watches it: ${messageOf(error)}`,
        )
      }
      this.#failed = true
      await this.#client?.close()
      this.#client = undefined
    }
  }
}
