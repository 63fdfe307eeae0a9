// bizon run: one pipeline in one process, from the file to the exit code.

import { type Command, Option } from 'commander'
import type { PipelineConfig } from '../../lib/config.ts'
import type { Outcome } from '../../lib/events.ts'
import type { LogLevel } from '../../lib/log.ts'
import { limitMemory } from '../../lib/memory.ts'
import { findStream } from '../../lib/source.ts'
import { addCommand, brokerText, requireFile } from '../program.ts'
import { createProgress, summary } from '../progress.ts'
import { dashRefused, Reporting, reportOption, requireReport } from '../report.ts'
import { watchSignals } from '../signals.ts'
import type { LogFormat, Terminal } from '../terminal.ts'
import { isInterruption, isPipeClosed, PIPE_CLOSED, quieter } from './interruption.ts'
import {
  customDestinationOption,
  customSourceOption,
  envFileOption,
  logFormatOption,
  logLevelOption,
  maxMemoryOption,
  quietOption,
  recordOption,
  replayOption,
  requireFiles,
  scratchOption,
} from './options.ts'

interface RunOptions {
  readonly customSource?: string
  readonly customDestination?: string
  readonly runner?: string
  readonly logLevel?: LogLevel
  readonly logFormat?: LogFormat
  readonly envFile?: string
  readonly record?: string
  readonly replay?: string
  readonly reset?: true
  readonly quiet?: true
  readonly maxMemory?: number
  readonly explain?: true
  readonly report?: string
  readonly scratch?: string
}

export function addRun(program: Command, terminal: Terminal): void {
  addCommand(
    program,
    'run',
    'Run a pipeline; a run that was cut off goes on where it stopped.',
    [
      { what: 'run a pipeline', run: 'bizon run examples/weather.yml' },
      {
        what: 'fetch everything again, then replace what was loaded before',
        run: 'bizon run examples/incremental.yml --reset',
      },
      { what: 'what it would do, without running it', run: 'bizon run examples/weather.yml --explain' },
      { what: 'errors only, for cron', run: 'bizon run examples/weather.yml --quiet --report report.json' },
      { what: 'keep the log as JSON lines', run: 'bizon run examples/weather.yml --log-format json 2> run.log' },
    ],
    brokerText(
      'With engine.queue.type kafka or rabbitmq, records are produced to its topic or',
      'queue and consumed from there; messages that wait are loaded first.',
    ),
  )
    .argument('<FILENAME>', 'the pipeline, a YAML file')
    .addOption(customSourceOption())
    .addOption(customDestinationOption())
    .addOption(
      new Option('--runner <type>', 'how to run (default: engine.runner.type of the file)').choices([
        'thread',
        'process',
        'stream',
      ]),
    )
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addOption(envFileOption())
    .addOption(recordOption())
    .addOption(replayOption())
    .option('--reset', 'incremental only: fetch everything again and replace what was loaded')
    .addOption(quietOption())
    .addOption(maxMemoryOption())
    .addOption(reportOption({ dash: true }).conflicts('explain'))
    .addOption(scratchOption())
    .option('--explain', 'print what a run does, step by step, and which step parses records; run nothing')
    .action(async (filename: string, options: RunOptions) => {
      requireFile(filename)
      requireFiles(options)
      requireReport(options.report, { dash: true, taken: [filename] })
      process.exitCode = await run(filename, options, terminal)
    })
}

async function run(filename: string, options: RunOptions, terminal: Terminal): Promise<number> {
  if (options.maxMemory !== undefined) limitMemory(options.maxMemory)
  let level = options.logLevel
  let reporting = options.explain ? undefined : await Reporting.begin(options.report, 'run')
  const ended = async (end: Parameters<Reporting['end']>[0]): Promise<number> =>
    reporting ? reporting.end(end, terminal) : end.exitCode
  try {
    const { loadConfig } = await import('../../lib/config.ts')
    const { runPipeline } = await import('../../lib/commands.ts')
    const { customSource, customDestination, runner, envFile, record, replay, reset, scratch } = options
    const config = await loadConfig(filename, ['source', 'destination'], {
      logLevel: level,
      customSource,
      customDestination,
      runner,
      envFile,
      record,
      replay,
      reset,
      scratch,
    })
    terminal.conceal(config.secrets ?? [])
    reporting?.of(config)
    level = config.engine.runner.logLevel
    if (options.explain) {
      await (await import('./explain.ts')).explain(filename, config, terminal)
      return 0
    }
    const log = terminal.log({ level: options.quiet ? quieter(level) : level, format: options.logFormat })

    const { definition, options: keys } = config.destination
    const isData = definition.prints?.(keys) ?? false
    if (isData && options.report === '-') {
      reporting = undefined
      throw dashRefused()
    }

    const signals = watchSignals(terminal)
    const progress = options.quiet ? undefined : createProgress({ terminal, log })
    try {
      const outcome = await runPipeline(config, {
        log,
        signal: signals.abort,
        stop: signals.stop,
        extractArgs: argsOf(options, level),
        ...(progress && { observe: progress.observe }),
        meter: reporting?.meter,
      })
      progress?.close()
      const print = isData || options.report === '-' ? terminal.note : terminal.print
      if (!options.quiet) await summarise(outcome, whatIsNext(config), print)
      const { outputs } = outcome
      return await ended(
        outcome.status === 'complete'
          ? { exitCode: 0, outcome: 'succeeded', outputs }
          : { exitCode: signals.exitCode() ?? 0, outcome: 'stopped', outputs },
      )
    } catch (error) {
      const interrupted = signals.exitCode()
      if (interrupted === undefined || !isInterruption(error)) throw error
      progress?.close()
      terminal.note(`Stopped; ${whatIsNext(config)}.`)
      return await ended({ exitCode: interrupted, outcome: 'stopped', error })
    } finally {
      progress?.close()
      signals[Symbol.dispose]()
    }
  } catch (error) {
    if (isPipeClosed(error)) return ended({ exitCode: PIPE_CLOSED, outcome: 'stopped', error })
    const exitCode = terminal.fail(error, { stack: level === 'DEBUG' || level === 'TRACE' })
    return ended({ exitCode, outcome: 'failed', error })
  }
}

/** For the process that reads the source, with the runner `process`. */
function argsOf({ customSource, envFile, record, replay, reset, maxMemory }: RunOptions, level: LogLevel): string[] {
  const given = {
    'custom-source': customSource,
    'env-file': envFile,
    record,
    replay,
    'log-level': level,
    'max-memory': maxMemory === undefined ? undefined : `${maxMemory / 2 ** 20}M`,
  }
  const args = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]))
  return reset ? [...args, '--reset'] : args
}

/** Of a run that was stopped. */
function whatIsNext({ source }: PipelineConfig): string {
  const stream = findStream(source.definition.streams(source.options), source.stream)
  return source.mode !== 'full_refresh' || stream?.resumable
    ? 'the next run goes on from the last checkpoint'
    : 'this source cannot go on where it was, so the next run starts over'
}

async function summarise(outcome: Outcome, next: string, print: Terminal['print']): Promise<void> {
  if (outcome.status === 'complete') {
    print('Pipeline finished successfully.', 'green')
    for (const line of summary(outcome)) print(line)
    const look = await lookAt(outcome)
    if (look) print(`Try: ${look}`)
    return
  }
  print(`Pipeline stopped; ${next}.`, 'yellow')
  for (const line of summary(outcome)) print(line)
  if (outcome.outputs.length === 0) print('Nothing is published before a run has read everything.')
}

/** A command that shows what was loaded, where that is a file. */
async function lookAt({ outputs }: Outcome): Promise<string | undefined> {
  const { stat } = await import('node:fs/promises')
  for (const output of outputs) {
    const found = await stat(output).catch(() => undefined)
    if (found?.isFile() && found.size > 0) return `head -n 3 ${quote(output)}`
  }
  return undefined
}

/** As a shell would need it. */
function quote(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`
}
