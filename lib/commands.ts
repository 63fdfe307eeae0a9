// What `bizon run` and `bizon check` do: a whole config in one process.

import { type ConfigOf, NO_FILE, type PipelineConfig } from './config.ts'
import { BizonError } from './errors.ts'
import type { Outcome } from './events.ts'
import { extract } from './extract.ts'
import { load } from './load.ts'
import { type Log, silentLog } from './log.ts'
import { checkPartitions } from './partition.ts'
import { pipeline } from './pipeline.ts'
import { textOf } from './record.ts'
import { redactLog } from './redact.ts'
import type { PipelineOptions } from './steps.ts'
import { openTransforms } from './transforms.ts'
import { Linked, never, orAborted } from './wait.ts'

export interface RunOptions extends PipelineOptions {
  /** With the runner `process`: options for the bizon-extract that reads the source, as on a command line. */
  readonly extractArgs?: readonly string[]
}

/** Runs the pipeline that the config describes. The runner `process` needs a config that was loaded from a file. */
export async function runPipeline(config: PipelineConfig, options: RunOptions = {}): Promise<Outcome> {
  const { extractArgs = [], ...rest } = options
  warn(config, options.log ?? silentLog)
  if (config.engine.queue.broker) {
    await sayWaiting(config, rest)
    return (await import('./pipe/queue/run.ts')).runQueued(config, rest)
  }
  const from = config.engine.runner.type === 'process' ? await inChild(config, extractArgs, options) : extract(config)
  return pipeline(from, load(config), rest)
}

/** A run does not wait for longer to be told what waits. */
const WAITING_SECONDS = 2

/** What is loaded before anything that is read now. */
async function sayWaiting(config: PipelineConfig, { log = silentLog, signal = never }: PipelineOptions): Promise<void> {
  const { channelOf } = await import('./pipe/queue/channel.ts')
  const channel = channelOf(config, 'bizon run', log)
  // AbortSignal.timeout may be lost to the garbage collector within AbortSignal.any (Node 20).
  const limit = new Linked(signal)
  const timer = setTimeout(() => limit.abort(), WAITING_SECONDS * 1000)
  // Whether it can be reached is for the run to say.
  const asked = channel.waiting?.(limit.signal).catch(() => undefined)
  const waiting = asked && (await orAborted(asked, limit.signal))
  clearTimeout(timer)
  limit.release()
  if (waiting) log.info(`${channel.place}: messages that wait to be loaded: ${waiting}`)
}

async function inChild(config: PipelineConfig, args: readonly string[], { signal, stop, meter }: PipelineOptions) {
  if (config.path === NO_FILE) {
    throw new BizonError('config', 'the runner process reads the pipeline file once more, and there is none', {
      hint: 'Use the runner thread, or write the pipeline to a file.',
    })
  }
  const { ChildExtract } = await import('./process.ts')
  const either = [signal, stop].filter((one) => one !== undefined)
  return new ChildExtract(config, {
    args,
    report: meter !== undefined,
    ...(either.length > 0 && { signal: AbortSignal.any(either) }),
  })
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
  if (config.engine.queue.broker) {
    const { partitionsOf } = await import('./pipe/queue/partitions.ts')
    if (partitionsOf(config) > 1) checkPartitions(config, config.source.mode)
  }
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

/** Resolves to the place of the queue at the broker, once it has answered; undefined: there is no broker. Nothing is created. */
export async function checkQueue(
  config: PipelineConfig,
  { log = silentLog, signal = never }: PipelineOptions = {},
): Promise<string | undefined> {
  if (!config.engine.queue.broker) return undefined
  const { channelOf } = await import('./pipe/queue/channel.ts')
  const channel = channelOf(config, 'bizon check', log)
  await channel.waiting?.(signal)
  return channel.place
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
