// bizon-load: records from standard input, of bizon-extract, a Singer tap or any program that prints JSON, to a
// destination. What is durable is told on standard output, one STATE value a line.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { BizonError } from '../../lib/errors.ts'
import type { PipeDialect } from '../../lib/pipe/dialect.ts'
import type { RawJson } from '../../lib/record.ts'
import { brokerText, createProgram, examplesText, requireFile } from '../program.ts'
import { summary } from '../progress.ts'
import { reportOption, requireReport } from '../report.ts'
import type { Signals } from '../signals.ts'
import type { Terminal } from '../terminal.ts'
import { addAirbyteDestination } from './airbyte-destination.ts'
import { type Begin, type HalfEnd, type HalfOptions, runHalf } from './half.ts'
import {
  customDestinationOption,
  envFileOption,
  logFormatOption,
  logLevelOption,
  maxMemoryOption,
  quietOption,
  requireFiles,
  scratchOption,
} from './options.ts'

export interface LoadOptions extends HalfOptions {
  readonly from: PipeDialect
  readonly fromQueue?: true
  readonly skipBroken?: true
  readonly allowEdited?: true
  readonly startOver?: true
  readonly id?: string
  readonly stream?: string
  readonly onInvalid?: 'fail' | 'skip' | 'dead_letter'
  readonly deadLetter?: string
  readonly stallTimeout?: number
  readonly customDestination?: string
  readonly envFile?: string
  readonly scratch?: string
}

export function addLoad(terminal: Terminal): Command {
  const program = createProgram('bizon-load', 'Loads records from standard input into the destination of a pipeline.')
    .argument('<FILENAME>', 'the pipeline, a YAML file; of it name, destination, transforms and engine are used')
    .addOption(
      new Option(
        '--from <dialect>',
        'what comes in: Singer or Airbyte messages, bare records, or CSV with a header; auto: any but CSV',
      )
        .choices(['auto', 'singer', 'airbyte', 'ndjson', 'csv'] satisfies PipeDialect[])
        .default('auto'),
    )
    .addOption(
      new Option(
        '--from-queue',
        'load from the broker of engine.queue instead, until a run is published; what is about lines of a pipe cannot be given with it',
      ).conflicts(['from', 'allowEdited', 'id', 'onInvalid', 'deadLetter', 'startOver', 'stallTimeout']),
    )
    .option(
      '--skip-broken',
      'with --from-queue: pass over what cannot be loaded, up to what bizon-extract --to-queue --ignore-queue has written anew',
    )
    .option('--allow-edited', 'a program between may drop records; order and end are checked all the same')
    .option('--id <field>', 'of bare records and CSV: the field that is their id (default: the number of the line)')
    .option(
      '--stream <name>',
      'of bare records and CSV: the name of their stream (default: records); with --from-queue: which one to load',
    )
    .addOption(
      new Option('--on-invalid <policy>', 'what becomes of lines that are no records; not for pipes of bizon-extract')
        .choices(['fail', 'skip', 'dead_letter'])
        .default('fail'),
    )
    .option('--dead-letter <path>', 'the file for --on-invalid dead_letter: the lines, each with the reason')
    .option('--start-over', 'give up what an unfinished load has read; it is not published')
    .option('--stall-timeout <seconds>', 'fail when nothing comes for so long (default: wait)', seconds)
    .addOption(customDestinationOption())
    .addOption(envFileOption())
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addOption(quietOption())
    .addOption(maxMemoryOption())
    .addOption(reportOption({ dash: false }))
    .addOption(scratchOption())
    .addHelpText(
      'after',
      brokerText(
        'With --from-queue messages are consumed from the Kafka topic or RabbitMQ queue',
        'of engine.queue, and acknowledged once they are durable in the destination.',
        'Loaders of one consumer group share the partitions of a topic.',
      ),
    )
    .addHelpText(
      'after',
      examplesText([
        {
          what: 'both halves of a pipeline',
          run: 'bizon-extract examples/weather.yml | bizon-load examples/weather.yml',
        },
        {
          what: 'from a broker, started and stopped on its own',
          run: 'bizon-load examples/queued.yml --from-queue',
        },
        {
          what: 'bare records of any program',
          run: 'cat examples/data/events.ndjson | bizon-load examples/pipe.yml --stream events',
        },
      ]),
    )
    .action(async (filename: string, options: LoadOptions) => {
      requireFile(filename)
      requireFiles(options)
      requireDeadLetter(options)
      requireReport(options.report, { dash: false, taken: [filename] })
      if (options.skipBroken && !options.fromQueue) throw new BizonError('usage', '--skip-broken needs --from-queue')
      if (options.fromQueue) {
        process.exitCode = await (await import('./load-queue.ts')).loadFromQueue(filename, options, terminal)
        return
      }
      if (process.stdin.isTTY) {
        throw new BizonError('usage', 'standard input is the terminal; bizon-load reads what another program writes', {
          hint: `bizon-extract ${filename} | bizon-load ${filename}`,
        })
      }
      process.exitCode = await load(filename, options, terminal)
    })
  // Options behind the name of a command are that command's.
  addAirbyteDestination(program.enablePositionalOptions(), terminal)
  return program
}

function load(filename: string, options: LoadOptions, terminal: Terminal): Promise<number> {
  const { from, allowEdited = false, startOver, id, stream, onInvalid, deadLetter, stallTimeout } = options
  const { logLevel, customDestination, envFile, quiet, scratch } = options
  const work = async (signals: Signals, begin: Begin): Promise<HalfEnd> => {
    const { loadConfig } = await import('../../lib/config.ts')
    const { load: into } = await import('../../lib/load.ts')
    const { pipeline } = await import('../../lib/pipeline.ts')
    const { FromPipe } = await import('../../lib/pipe/from.ts')
    const { NewestLine } = await import('../../lib/pipe/newest.ts')
    const { DescriptorOut } = await import('../../lib/pipe/out.ts')
    const config = await loadConfig(filename, ['destination'], { logLevel, customDestination, envFile, scratch })
    const { progress, watch } = begin(config)
    const { log } = watch
    const states = new NewestLine(new DescriptorOut(1))
    const { definition, options: keys } = config.destination
    // Records are there already, of which a STATE value would be one more to whoever reads them.
    const isData = definition.prints?.(keys) ?? false
    const print = async (value: RawJson): Promise<void> => {
      if (isData) return
      const before = states.closed
      // One of Airbyte's speaks for its stream alone.
      await (pipe.tellsEach ? states.sayAlways(value.toString()) : states.say(value.toString()))
      if (states.closed && !before) log.info('nobody reads the STATE values any more; the load goes on without them')
    }
    const pipe = new FromPipe(process.stdin, config, {
      from,
      allowEdited,
      idField: id,
      stream,
      onInvalid,
      startOver,
      deadLetter,
      stallSeconds: stallTimeout,
      signal: AbortSignal.any([signals.stop, signals.abort]),
      acknowledged: print,
    })
    const outcome = await pipeline(pipe, into(config), watch)
    progress?.close()
    await states.settled(signals.abort)
    if (!quiet) {
      const stopped = pipe.endless ? 'Stopped; what came is loaded.' : 'Stopped; nothing was published.'
      terminal.note(outcome.status === 'complete' ? 'Loaded and published.' : stopped)
      for (const line of summary(outcome)) terminal.note(line)
    }
    const { outputs } = outcome
    return outcome.status === 'complete'
      ? { exitCode: 0, outcome: 'succeeded', outputs }
      : { exitCode: signals.exitCode() ?? (pipe.endless ? 0 : 1), outcome: 'stopped', outputs }
  }
  return runHalf(terminal, 'load', options, work).finally(() => process.stdin.destroy())
}

function requireDeadLetter({ onInvalid, deadLetter }: LoadOptions): void {
  if ((onInvalid === 'dead_letter') === (deadLetter !== undefined)) return
  throw new BizonError('usage', '--on-invalid dead_letter and --dead-letter <path> need each other', {
    hint: '--on-invalid dead_letter --dead-letter invalid.ndjson',
  })
}

function seconds(text: string): number {
  const value = Number(text)
  if (value > 0 && value < Infinity) return value
  throw new InvalidArgumentError('expected a number of seconds above 0.')
}
