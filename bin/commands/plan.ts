// bizon plan: what the next run would do, with what earlier runs have left, without doing it.

import type { Command } from 'commander'
import type { LogLevel } from '../../lib/log.ts'
import { addCommand, requireFile } from '../program.ts'
import { whileWatching } from '../signals.ts'
import type { LogFormat, Terminal } from '../terminal.ts'
import { quieter } from './interruption.ts'
import {
  customDestinationOption,
  customSourceOption,
  envFileOption,
  logFormatOption,
  logLevelOption,
  replayOption,
  requireFiles,
} from './options.ts'

interface PlanOptions {
  readonly stream?: string
  readonly reset?: true
  readonly customSource?: string
  readonly customDestination?: string
  readonly envFile?: string
  readonly replay?: string
  readonly logLevel?: LogLevel
  readonly logFormat?: LogFormat
  readonly json?: true
}

export function addPlan(program: Command, terminal: Terminal): void {
  addCommand(
    program,
    'plan',
    'Show what the next run would do: which run it goes on with, what it reads, which targets it changes. Changes nothing.',
    [
      { what: 'before the first run', run: 'bizon plan examples/weather.yml' },
      { what: 'what a reset would replace', run: 'bizon plan examples/incremental.yml --reset' },
      { what: 'for programs', run: 'bizon plan examples/weather.yml --json' },
    ],
  )
    .argument('<FILENAME>', 'the pipeline, a YAML file')
    .option('--stream <name>', 'this stream instead of the one in the file')
    .option('--reset', 'as for bizon run: incremental only, everything is fetched again and replaced')
    .option('--json', 'one line of JSON')
    .addOption(customSourceOption())
    .addOption(customDestinationOption())
    .addOption(envFileOption())
    .addOption(replayOption())
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .action(async (filename: string, options: PlanOptions) => {
      requireFile(filename)
      requireFiles(options)
      process.exitCode = await plan(filename, options, terminal)
    })
}

async function plan(filename: string, options: PlanOptions, terminal: Terminal): Promise<number> {
  const { json, logFormat, ...given } = options
  let level = options.logLevel
  try {
    const { loadConfig } = await import('../../lib/config.ts')
    const { planRun } = await import('../../lib/plan/run.ts')
    const config = await loadConfig(filename, ['source', 'destination'], given)
    terminal.conceal(config.secrets)
    const { runner } = config.engine
    level = runner.logLevel
    return await whileWatching(terminal, async (signals) => {
      // What a run would log of its work is no part of the plan, but for what is wrong.
      const log = terminal.log({ level: options.logLevel ?? quieter(runner.logLevel), format: logFormat })
      const planned = await planRun(config, { log, signal: AbortSignal.any([signals.stop, signals.abort]) })
      const { planJson, planText } = await import('./plan/text.ts')
      const { commandOf } = await import('../../lib/pipe/queue/partitions.ts')
      for (const warning of planned.warnings) log.warn(warning)
      if (json) terminal.print(planJson(config, planned))
      else {
        terminal.print(planText(config, planned))
        terminal.print(`Try: ${commandOf(config, filename, options.reset ? ' --reset' : '')}`)
      }
      return 0
    })
  } catch (error) {
    return terminal.fail(error, { stack: level === 'DEBUG' || level === 'TRACE' })
  }
}
