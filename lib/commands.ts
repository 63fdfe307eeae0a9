// What `bizon run` and `bizon check` do: a whole config in one process.

import type { PipelineConfig } from './config.ts'
import { BizonError } from './errors.ts'
import type { Outcome } from './events.ts'
import { extract } from './extract.ts'
import { load } from './load.ts'
import { silentLog } from './log.ts'
import { pipeline } from './pipeline.ts'
import type { PipelineOptions } from './steps.ts'

/** Runs the pipeline that the config describes. */
export async function runPipeline(config: PipelineConfig, options: PipelineOptions = {}): Promise<Outcome> {
  if (config.engine.runner.type === 'process') {
    throw new BizonError(
      'config',
      `${config.path} engine.runner.type: the process runner is not available in this version`,
      {
        hint: 'use `--runner thread`, which overlaps extract and load in one process',
      },
    )
  }
  return pipeline(extract(config), load(config), options)
}

/** Connects to both ends and to the state store, and changes nothing. Rejects with the first failure. */
export async function checkPipeline(
  config: PipelineConfig,
  { log = silentLog, signal = never }: PipelineOptions = {},
): Promise<void> {
  const source = await extract(config).open(log)
  try {
    const sink = await load(config).prepare(source, {
      log,
      signal,
      observe: () => {},
      lost: () => {},
    })
    await sink.check().finally(() => sink.close())
  } finally {
    await source.close()
  }
}

const never = new AbortController().signal
