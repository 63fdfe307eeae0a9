// Both halves of a pipeline with a broker in memory between them, in one process.

import type { PipelineConfig } from '../../lib/config.ts'
import type { Outcome } from '../../lib/events.ts'
import { extract } from '../../lib/extract.ts'
import type { Log } from '../../lib/log.ts'
import { type LoadQueueOptions, loadQueue } from '../../lib/pipe/queue/load.ts'
import { type Extracted, type ExtractToOptions, extractTo } from '../../lib/pipe/to.ts'
import type { MemoryBroker } from './memory-broker.ts'

export interface Halves {
  readonly ignoresWaiting?: boolean
}

export async function extractInto(
  broker: MemoryBroker,
  config: PipelineConfig,
  { ignoresWaiting = false, ...options }: Halves & ExtractToOptions = {},
): Promise<Extracted> {
  return extractTo(extract(config), { channel: broker.channel(), ignoresWaiting }, options)
}

/** Loads until a run is published, or all that there is was taken: then it is stopped. */
export async function loadFrom(
  broker: MemoryBroker,
  config: PipelineConfig,
  options: LoadQueueOptions = {},
): Promise<Outcome | undefined> {
  const stop = new AbortController()
  const { interfere } = broker
  broker.interfere = (step) => {
    interfere(step)
    if (step === 'idle') stop.abort(new Error('idle'))
  }
  try {
    return await loadQueue(broker.channel(), config, { ...options, stop: stop.signal })
  } catch (error) {
    if (stop.signal.aborted && error === stop.signal.reason) return undefined
    throw error
  } finally {
    broker.interfere = interfere
  }
}

/** What is said. */
export function listening(): Log & { readonly said: string[] } {
  const said: string[] = []
  const say = (text: string): void => void said.push(text)
  return { said, trace: say, debug: say, info: say, warn: say, error: say } as Log & { said: string[] }
}

export const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
/** Numbered from 0 through all pages, whose sizes these are. */
export const rowsOf = (pages: readonly number[]): number[] => upTo(pages.reduce((sum, size) => sum + size, 0))

/** The n-th time a step is reached, it fails. */
export function trouble(step: string, at: number): (reached: string) => void {
  let passed = 0
  return (reached) => {
    if (reached === step && ++passed === at) throw new Error(`trouble at ${step} ${at}`)
  }
}
