// bizon check: what a run would stumble over before its first record, without a run.

import { type Command, InvalidArgumentError } from 'commander'
import type { PipelineConfig } from '../../lib/config.ts'
import { BizonError } from '../../lib/errors.ts'
import type { LogLevel } from '../../lib/log.ts'
import { addCommand, requireFile } from '../program.ts'
import { whileWatching } from '../signals.ts'
import type { LogFormat, Terminal } from '../terminal.ts'
import {
  customDestinationOption,
  customSourceOption,
  envFileOption,
  logFormatOption,
  logLevelOption,
  recordOption,
  replayOption,
  requireFiles,
} from './options.ts'

interface CheckOptions {
  readonly customSource?: string
  readonly customDestination?: string
  readonly envFile?: string
  readonly record?: string
  readonly replay?: string
  readonly sample?: number
  readonly logLevel?: LogLevel
  readonly logFormat?: LogFormat
}

export function addCheck(program: Command, terminal: Terminal): void {
  addCommand(program, 'check', 'Validate a pipeline file and connect to both ends, without running it.', [
    { what: 'before the first run', run: 'bizon check examples/weather.yml' },
    { what: 'the first records, as JSON', run: 'bizon check examples/weather.yml --sample 2' },
    { what: 'with every step in the log', run: 'bizon check examples/weather.yml --log-level DEBUG' },
  ])
    .argument('<FILENAME>', 'the pipeline, a YAML file')
    .addOption(customSourceOption())
    .addOption(customDestinationOption())
    .addOption(envFileOption())
    .option('--sample <n>', 'print the first n records, one JSON object a line; only the source is opened', atLeastOne)
    .addOption(recordOption())
    .addOption(replayOption())
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .action(async (filename: string, options: CheckOptions) => {
      requireFile(filename)
      requireFiles(options)
      process.exitCode = await check(filename, options, terminal)
    })
}

async function check(filename: string, options: CheckOptions, terminal: Terminal) {
  const { customSource, customDestination, envFile, record, replay, sample: count, logLevel, logFormat } = options
  let level = logLevel
  try {
    const { loadConfig } = await import('../../lib/config.ts')
    const { checkPipeline, checkQueue, sample } = await import('../../lib/commands.ts')
    const given = {
      logLevel: level,
      customSource,
      customDestination,
      envFile,
      record,
      replay,
    }
    const config = await loadConfig(filename, count === undefined ? ['source', 'destination'] : ['source'], given)
    terminal.conceal(config.secrets ?? [])
    const { runner } = config.engine
    level = runner.logLevel

    return await whileWatching(terminal, async (signals) => {
      const log = terminal.log({ level: runner.logLevel, format: logFormat })
      const signal = AbortSignal.any([signals.stop, signals.abort])
      if (count !== undefined) {
        for await (const line of sample(config, count, { log, signal })) terminal.print(line)
        return signals.exitCode() ?? 0
      }
      const { source, destination, transforms, engine } = config as PipelineConfig
      const isValid = (): void => terminal.print(`ok  ${filename} is valid`)
      await checkPipeline(config as PipelineConfig, { log, signal }).catch((error) => {
        // Connectors have rules of their own for their keys, which are asked before anything is connected.
        if (!(error instanceof BizonError && error.code === 'config')) isValid()
        throw error
      })
      isValid()
      terminal.print(`ok  source ${source.name}, stream ${source.stream}: can be read`)
      for (const { label, kind } of transforms) terminal.print(`ok  transform ${label}: ${kind}, can be run`)
      terminal.print(`ok  destination ${destination.name}: can be written`)
      terminal.print(`ok  state ${engine.backend.type}: can be opened`)
      const queue = await checkQueue(config as PipelineConfig, { log, signal })
      if (queue !== undefined) terminal.print(`ok  queue ${engine.queue.type}: ${queue}, can be reached`)
      const { commandOf } = await import('../../lib/pipe/queue/partitions.ts')
      terminal.print(`Try: ${commandOf(config as PipelineConfig, filename)}`)
      return 0
    })
  } catch (error) {
    return terminal.fail(withoutHint(error, `bizon check ${filename}`), {
      stack: level === 'DEBUG' || level === 'TRACE',
    })
  }
}

function atLeastOne(text: string): number {
  const count = Number(text)
  if (Number.isSafeInteger(count) && count >= 1) return count
  throw new InvalidArgumentError('expected a whole number from 1.')
}

/** Nobody wants to be told to do what was just done. */
function withoutHint(error: unknown, hint: string): unknown {
  if (!(error instanceof BizonError) || error.hint !== hint) return error
  return new BizonError(error.code, error.message, { cause: error })
}
