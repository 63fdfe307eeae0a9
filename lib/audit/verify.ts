// `bizon verify`: what is published, read back, against what the checkpoints say of it. Changes nothing.

import type { PipelineConfig } from '../config.ts'
import { BizonError } from '../errors.ts'
import { type Log, silentLog } from '../log.ts'
import { identitiesOf } from '../pipe/queue/partitions.ts'
import { holder, type Lease } from '../state.ts'
import { closeAll, never } from '../wait.ts'
import { type Comparison, compare } from './compare.ts'
import { expectedOf } from './expected.ts'
import { openReader, targetOf } from './reader.ts'

export interface Verified extends Comparison {
  /** What was compared of each row. */
  readonly compared: 'records' | 'payloads' | 'counts'
  /** Why counts alone were compared. */
  readonly countsOnly?: string
  /** Runs whose rows are published, oldest first. */
  readonly runs: readonly string[]
  /** A later run that has not ended: nothing of it is published, and nothing of it was compared. */
  readonly unfinished?: string
  /** In how many the stream is loaded, each with runs of its own. */
  readonly partitions?: number
}

export interface VerifyOptions {
  readonly log?: Log
  readonly signal?: AbortSignal
}

/**
 * Rejects with code `usage` where nothing can be said, and with `locked` while a run is under way: no run begins meanwhile.
 * Differences are part of the result.
 */
export async function verify(
  config: PipelineConfig,
  { log = silentLog, signal = never }: VerifyOptions = {},
): Promise<Verified> {
  const { backend } = config.engine
  const reader = openReader(config, log)
  const store = backend.definition.create(backend, { log })
  try {
    await store.open()
    const identities = identitiesOf(config)
    const leases: Lease[] = []
    try {
      for (const identity of identities) leases.push(await store.acquire(identity, holder()))
      const usual = targetOf(config.destination.options, config.source.stream)
      const expected = await expectedOf(store, identities, reader, usual)
      const { countsOnly, unfinished } = expected
      const comparison = await compare(reader, expected, signal)
      if (comparison.untold.length > 0 && comparison.differences.length === 0) throw untellable(comparison.untold)
      return {
        ...comparison,
        compared: countsOnly === undefined ? reader.keeps.of : 'counts',
        ...(countsOnly !== undefined && { countsOnly }),
        runs: expected.runs.map(({ id }) => id),
        ...(unfinished !== undefined && { unfinished }),
        ...(identities.length > 1 && { partitions: identities.length }),
      }
    } finally {
      await closeAll(...leases.map((lease) => () => lease.release()))
    }
  } finally {
    await closeAll(
      () => reader.close(),
      () => store.close(),
    )
  }
}

function untellable([first, ...others]: readonly string[]): BizonError {
  const more = others.length === 0 ? '' : `; and ${others.length} more like this`
  return new BizonError('usage', `cannot verify: ${first}${more}`, {
    hint: 'Verify before anything is deleted, and give a pipeline targets of its own.',
  })
}
