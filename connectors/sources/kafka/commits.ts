// What is durable is told to the consumer group, for whoever watches how far behind it is. Nothing depends on it but the
// very first start of a stream, so that it is done beside the reading, the newest only, and a failure is told once.

import { messageOf } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import type { Position } from '../../../lib/source.ts'
import { sleep } from '../../../lib/wait.ts'
import type { Committed } from './broker.ts'
import { Offsets } from './offsets.ts'

const PAUSE_SECONDS = 1

export type Commit = (offsets: readonly Committed[]) => Promise<void>

export class Commits {
  readonly #commit: Commit
  readonly #group: string
  readonly #log: Log
  readonly #closing = new AbortController()
  #newest: Position | undefined
  #working: Promise<void> | undefined
  #failed = false

  constructor(commit: Commit, group: string, log: Log) {
    this.#commit = commit
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
    await this.#working
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
    const offsets = [...Offsets.of(position)].map(({ topic, partition, next }) => ({ topic, partition, offset: next }))
    try {
      await this.#commit(offsets)
      if (this.#failed) this.#log.info(`offsets are committed to the group ${this.#group} again`)
      this.#failed = false
    } catch (error) {
      if (!this.#failed) {
        this.#log.warn(
          `offsets cannot be committed to the group ${this.#group}, which matters only to who watches it: ${messageOf(error)}`,
        )
      }
      this.#failed = true
    }
  }
}
