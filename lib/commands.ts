// What `bizon run` and `bizon check` do: a whole config in one process.

import type { ConfigOf, PipelineConfig } from './config.ts'
import type { Outcome } from './events.ts'
import { extract } from './extract.ts'
import { load } from './load.ts'
import { type Log, silentLog } from './log.ts'
import { pipeline } from './pipeline.ts'
import { textOf } from './record.ts'
import { redactLog } from './redact.ts'
import type { PipelineOptions } from './steps.ts'
import { openTransforms } from './transforms.ts'

/** Runs the pipeline that the config describes. */
export async function runPipeline(config: PipelineConfig, options: PipelineOptions = {}): Promise<Outcome> {
  warn(config, options.log ?? silentLog)
  return pipeline(extract(config), load(config), options)
}

/**
 * Connects to both ends and to the state store, whose tables it creates if there are none, and compiles the transforms;
 * loads nothing. Rejects with the first failure.
 */
export async function checkPipeline(
  config: PipelineConfig,
  { log = silentLog, signal = never }: PipelineOptions = {},
): Promise<void> {
  warn(config, log)
  const scripts = await openTransforms(config.transforms, { log, signal })
  await scripts.close()
  const source = await extract(config).open(log, { hasty: true })
  try {
    const sink = await load(config).prepare(source, {
      log,
      signal,
      observe: () => {},
    })
    await sink.check().finally(() => sink.close())
  } finally {
    await source.close()
  }
}

function warn({ warnings, secrets }: ConfigOf<'source'>, log: Log): void {
  const clean = redactLog(log, secrets)
  for (const warning of warnings) clean.warn(warning)
}

/** The first records of the source as JSON, each on one line. Nothing but the source is opened, and no state is kept. */
export async function* sample(
  config: ConfigOf<'source'>,
  count: number,
  { log = silentLog, signal = never }: PipelineOptions = {},
): AsyncGenerator<string, void, void> {
  warn(config, log)
  const source = await extract(config).open(log, { hasty: true })
  try {
    await source.check(signal)
    let left = count
    for await (const { records } of source.read({}, { signal })) {
      for (const { data } of records.slice(0, left)) yield textOf(data).replaceAll(/[\r\n]+/g, ' ')
      left -= records.length
      if (left <= 0) return
    }
  } finally {
    await source.close()
  }
}

const never = new AbortController().signal
