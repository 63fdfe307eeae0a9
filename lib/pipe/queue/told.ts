// What is said of the partitions that a loader has. Whenever loaders come or go a group takes all of them back, and gives most of them to the
// same loaders again: only what lasts is told.

import type { Log } from '../../log.ts'
import { type Partition, partitionName } from '../../partition.ts'

/** What is given back within this time was never gone. */
const LASTING_MS = 3000

export class TellingPartitions {
  readonly #log: Log
  /** It was said that they are loaded here. */
  readonly #here = new Set<number>()
  readonly #leaving = new Map<number, NodeJS.Timeout>()

  constructor(log: Log) {
    this.#log = log
  }

  come(partition: Partition): void {
    const { index } = partition
    clearTimeout(this.#leaving.get(index))
    this.#leaving.delete(index)
    if (!this.#here.has(index)) this.#log.info(`loads ${partitionName(partition)}`)
    this.#here.add(index)
  }

  go(partition: Partition): void {
    const { index } = partition
    this.#log.debug(`lets go of ${partitionName(partition)}`)
    const timer = setTimeout(() => {
      this.#here.delete(index)
      this.#log.info(`${partitionName(partition)} goes to another loader`)
    }, LASTING_MS)
    this.#leaving.set(index, timer.unref())
  }

  /** Nothing more is said. */
  end(): void {
    for (const timer of this.#leaving.values()) clearTimeout(timer)
  }
}
