// A read that outlives its connection: when a broker goes away it is tried again for a while, from behind the last page.

import { BizonError, messageOf } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import type { Page, Start } from '../../../lib/source.ts'
import { sleep } from '../../../lib/wait.ts'
import type { Broker } from './broker.ts'

export interface ReconnectOptions {
  /** How long a broker may be away. */
  readonly seconds: number
  readonly connect: (signal: AbortSignal) => Promise<Broker>
  readonly read: (broker: Broker, from: Start, signal: AbortSignal) => AsyncGenerator<Page, void, void>
  readonly log: Log
}

const FIRST_WAIT_SECONDS = 0.1
const LONGEST_WAIT_SECONDS = 5

export async function* reconnecting(
  { seconds, connect, read, log }: ReconnectOptions,
  from: Start,
  signal: AbortSignal,
): AsyncGenerator<Page, void, void> {
  let start = from
  let lostAt: number | undefined
  let wait = FIRST_WAIT_SECONDS
  while (!signal.aborted) {
    let broker: Broker | undefined
    try {
      broker = await connect(signal)
      if (lostAt !== undefined) log.info('the connection to Kafka is back')
      for await (const page of read(broker, start, signal)) {
        lostAt = undefined
        wait = FIRST_WAIT_SECONDS
        if (page.next) start = { position: page.next, ...(from.since && { since: from.since }) }
        yield page
      }
      return
    } catch (error) {
      if (signal.aborted) return
      const now = performance.now()
      const late = now - (lostAt ?? now) + wait * 1000 > seconds * 1000
      if (!(error instanceof BizonError && error.retriable) || late) throw error
      if (lostAt === undefined) log.warn(`${messageOf(error)}; trying for ${seconds} s`)
      lostAt ??= now
    } finally {
      await broker?.close()
    }
    await sleep(wait, signal)
    wait = Math.min(2 * wait, LONGEST_WAIT_SECONDS)
  }
}
