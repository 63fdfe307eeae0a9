// The first connection of a run fails at once: an address that is wrong does not become right. Brokers that have answered before are being
// started again, as a rule, and are waited for.

import { BizonError } from '../../../lib/errors.ts'
import { sleep } from '../../../lib/wait.ts'
import type { Absence } from '../../kafka/absence.ts'

export type Connect<Client> = (signal: AbortSignal) => Promise<Client>

export function patiently<Client>(
  connect: Connect<Client>,
  { seconds, absence }: { readonly seconds: number; readonly absence: Absence },
): Connect<Client> {
  let isReached = false
  return async (signal) => {
    const began = performance.now()
    for (let pause = 0.05; ; pause = Math.min(pause * 2, 2)) {
      try {
        const client = await connect(signal)
        isReached = true
        absence.answered()
        return client
      } catch (error) {
        signal.throwIfAborted()
        const isPassing = isReached && error instanceof BizonError && error.retriable
        if (!isPassing || performance.now() - began > seconds * 1000) throw error
        absence.missed(error, seconds)
        await sleep(pause, signal)
        signal.throwIfAborted()
      }
    }
  }
}
