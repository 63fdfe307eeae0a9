// `bizon run` over a broker: both halves in one process, each as it would be in its own. The run is over when the load has published what
// the extract has read; other loaders may be at work on the same queue.

import type { PipelineConfig } from '../../config.ts'
import { NOTHING_LOADED, type Outcome } from '../../events.ts'
import { extract } from '../../extract.ts'
import { silentLog } from '../../log.ts'
import { PARTITIONS_KEY } from '../../partition.ts'
import { identityOf } from '../../run.ts'
import { holder } from '../../state.ts'
import type { PipelineOptions } from '../../steps.ts'
import { never } from '../../wait.ts'
import { extractTo } from '../to.ts'
import { channelOf } from './channel.ts'
import { loadQueue } from './load.ts'

export async function runQueued(config: PipelineConfig, options: PipelineOptions = {}): Promise<Outcome> {
  const { log = silentLog, signal = never, stop = never } = options
  const channel = channelOf(config, 'bizon run', log)
  if ((channel.partitions ?? 1) > 1) {
    throw config.invalid(PARTITIONS_KEY, `is ${channel.partitions}, and bizon run loads one partition`, {
      hint: 'Start the halves on their own: bizon-extract FILE --to-queue, and as many of bizon-load FILE --from-queue as you like.',
    })
  }
  await refuseSecond(config, options)
  const failure = new AbortController() // of the load: the extract has nobody to read for
  const enough = new AbortController() // the extract gives no more, and no end
  let run: string | undefined
  let read = 0
  let taken = 0
  let isStopped = false
  const settle = (): void => {
    if (isStopped && taken >= read) enough.abort()
  }

  const extracting = extractTo(
    extract(config),
    {
      channel,
      begins(id) {
        run = id
      },
    },
    {
      log,
      stop,
      signal: AbortSignal.any([signal, failure.signal]),
      observe: (event) => {
        if (event.type === 'checkpoint') read = event.checkpoint.page
      },
    },
  )
  const loading = loadQueue(channel, config, {
    ...options,
    stop: AbortSignal.any([stop, enough.signal]),
    standsBy: false,
    until: () => run,
    taken: (head) => {
      if (head.run === run) taken = head.to
      settle()
    },
  })
  const [extracted, loaded] = await Promise.allSettled([
    extracting.then(
      ({ status }) => {
        isStopped = status === 'stopped'
        settle()
      },
      (error) => {
        enough.abort()
        throw error
      },
    ),
    loading.catch((error) => {
      if (enough.signal.aborted && error === enough.signal.reason)
        return { ...NOTHING_LOADED, status: 'stopped' as const, job: '' }
      failure.abort(error)
      throw error
    }),
  ])
  if (loaded.status === 'rejected') throw loaded.reason
  if (extracted.status === 'rejected') throw extracted.reason
  return { ...loaded.value, job: run ?? loaded.value.job }
}

/** Rejects with code `locked` while another process loads, so that it need not find out by being fenced. */
async function refuseSecond(config: PipelineConfig, { log = silentLog }: PipelineOptions): Promise<void> {
  const { backend } = config.engine
  const store = backend.definition.create(backend, { log })
  try {
    await store.open()
    await (await store.acquire(identityOf(config), holder())).release()
  } finally {
    await store.close()
  }
}
