// bizon-extract: a source as lines on standard output, for bizon-load, a Singer target, or any program that reads JSON.

import { type Command, Option } from 'commander'
import type { ConfigInput, ConfigOf } from '../../lib/config.ts'
import { BizonError } from '../../lib/errors.ts'
import type { Selected } from '../../lib/pipe/catalog.ts'
import type { PipeFormat } from '../../lib/pipe/forms.ts'
import type { ByteOut } from '../../lib/pipe/out.ts'
import type { ExtractStreamsOptions } from '../../lib/pipe/streams.ts'
import type { Extracted } from '../../lib/pipe/to.ts'
import { createProgram, examplesText, requireFile } from '../program.ts'
import { records } from '../progress.ts'
import { reportOption, requireReport } from '../report.ts'
import type { Signals } from '../signals.ts'
import type { Terminal } from '../terminal.ts'
import { addAirbyteSource } from './airbyte-source.ts'
import { type Begin, type HalfEnd, type HalfOptions, runHalf } from './half.ts'
import {
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

interface ExtractOptions extends HalfOptions {
  readonly format: PipeFormat
  readonly config?: string
  readonly discover?: true
  readonly catalog?: string
  readonly properties?: string
  readonly state?: string
  readonly ack?: string
  readonly reset?: true
  readonly toQueue?: true
  readonly ignoreQueue?: true
  readonly customSource?: string
  readonly envFile?: string
  readonly record?: string
  readonly replay?: string
  readonly scratch?: string
}

export function addExtract(terminal: Terminal): Command {
  const program = createProgram(
    'bizon-extract',
    'Reads the source of a pipeline and writes its records to standard output.',
  )
    .argument('[FILENAME]', 'the pipeline, a YAML file; of it name, source, transforms and engine are used')
    .addOption(
      new Option(
        '--format <format>',
        'singer or airbyte messages, with all that bizon-load needs; ndjson: bare records',
      )
        .choices(['singer', 'ndjson', 'airbyte'] satisfies PipeFormat[])
        .default('singer'),
    )
    .option('--state <path>', 'go on from the last line of this file, which bizon-load printed (default: state store)')
    .option(
      '--ack <path>',
      'tell the source what is durable, by the lines that bizon-load prints into this file or FIFO; -: standard input (default: state store)',
    )
    .option(
      '--config <path>',
      'as a Singer tap, instead of FILENAME: JSON, {"pipeline": "<its path>"} or the pipeline itself',
    )
    .option('--discover', 'as a Singer tap: print the catalog of streams, and read nothing')
    .option('--catalog <path>', 'as a Singer tap: read the streams that are selected in this catalog')
    .addOption(new Option('--properties <path>', 'the older name of --catalog').conflicts('catalog'))
    .option('--reset', 'incremental only: fetch everything again, to replace what was loaded')
    .addOption(
      new Option(
        '--to-queue',
        'write to the broker of engine.queue instead, for bizon-load --from-queue; what is about lines of a pipe cannot be given with it',
      ).conflicts(['format', 'state', 'ack', 'config', 'discover', 'catalog', 'properties']),
    )
    .option('--ignore-queue', 'with --to-queue: begin where the destination stands, whatever waits in the queue')
    .addOption(customSourceOption())
    .addOption(envFileOption())
    .addOption(recordOption())
    .addOption(replayOption())
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addOption(quietOption())
    .addOption(maxMemoryOption())
    .addOption(reportOption({ dash: false }))
    .addOption(scratchOption())
    .addHelpText(
      'after',
      examplesText([
        {
          what: 'both halves of a pipeline',
          run: 'bizon-extract examples/weather.yml | bizon-load examples/weather.yml',
        },
        {
          what: 'into a broker, for loaders that are started on their own',
          run: 'bizon-extract examples/queued.yml --to-queue',
        },
        { what: 'as a Singer tap: the catalog', run: 'bizon-extract examples/weather.yml --discover' },
        {
          what: 'bare records, for any program',
          run: 'bizon-extract examples/weather.yml --format ndjson | head -n 3',
        },
      ]),
    )
    .action(async (filename: string | undefined, options: ExtractOptions) => {
      const pipeline = requirePipeline(filename, options)
      const catalog = options.catalog ?? options.properties
      if (catalog !== undefined) requireFile(catalog, '--catalog')
      requireFiles(options)
      if (options.ignoreQueue && !options.toQueue) throw new BizonError('usage', '--ignore-queue needs --to-queue')
      requireReport(options.report, { dash: false, taken: [filename, options.config] })
      process.exitCode = options.discover
        ? await discover(pipeline)
        : await extract(pipeline, { ...options, ...(catalog !== undefined && { catalog }) }, terminal)
    })
  // Options behind the name of a command are that command's.
  addAirbyteSource(program.enablePositionalOptions(), terminal)
  return program
}

/** What is read: a YAML file, or what --config holds. */
function requirePipeline(filename: string | undefined, { config }: ExtractOptions): () => Promise<ConfigInput> {
  if (filename !== undefined && config !== undefined) {
    throw new BizonError('usage', '--config and FILENAME both say which pipeline; one is enough')
  }
  if (config !== undefined) {
    requireFile(config, '--config')
    return async () => (await import('../../lib/pipe/airbyte/files.ts')).readConnectorConfig(config)
  }
  if (filename === undefined) {
    throw new BizonError('usage', 'no pipeline is named', {
      hint: 'bizon-extract FILENAME; bizon-extract --help shows more',
    })
  }
  requireFile(filename)
  return async () => filename
}

async function discover(pipeline: () => Promise<ConfigInput>): Promise<number> {
  const { singerCatalog } = await import('../../lib/pipe/catalog.ts')
  const { DescriptorOut } = await import('../../lib/pipe/out.ts')
  await new DescriptorOut(1).write(Buffer.from(`${await singerCatalog(await pipeline())}\n`))
  return 0
}

function extract(pipeline: () => Promise<ConfigInput>, options: ExtractOptions, terminal: Terminal): Promise<number> {
  const { format, catalog, ack, logLevel, customSource, envFile, record, replay, reset, quiet, scratch } = options
  const { toQueue, ignoreQueue } = options
  // The one who runs a tap keeps its state; and who reads bare records tells nobody what is durable.
  const keepsState = options.config !== undefined || format === 'ndjson'
  const from = options.state ?? (keepsState ? { by: '--state' } : undefined)
  const work = async (signals: Signals, begin: Begin): Promise<HalfEnd> => {
    const { loadConfig } = await import('../../lib/config.ts')
    const { extract: source } = await import('../../lib/extract.ts')
    const { extractTo } = await import('../../lib/pipe/to.ts')
    const { DescriptorOut } = await import('../../lib/pipe/out.ts')
    const { channelOf } = await import('../../lib/pipe/queue/channel.ts')
    const given = { logLevel, customSource, envFile, record, replay, reset, scratch }
    const input = await pipeline()
    const [config, ...others] = await configsOf(catalog, (selected) =>
      loadConfig(input, ['source'], { ...given, ...selected }),
    )
    const { progress, watch } = begin(config, ...others)
    const out = new DescriptorOut(1)
    const queue = toQueue && {
      channel: channelOf(config, '--to-queue', watch.log),
      ignoresWaiting: ignoreQueue ?? false,
    }
    const { status, rows } =
      others.length > 0
        ? await several([config, ...others], out, watch, options)
        : await extractTo(source(config), queue ?? out, { ...watch, format, from, ack })
    progress?.close()
    if (!quiet) terminal.note(status === 'complete' ? `Extracted ${records(rows)}.` : `Stopped after ${records(rows)}.`)
    return status === 'complete'
      ? { exitCode: 0, outcome: 'succeeded' }
      : { exitCode: signals.exitCode() ?? 0, outcome: 'stopped' }
  }
  return runHalf(terminal, 'extract', options, work, format === 'airbyte' ? tell : undefined)
}

/** One for each stream of the catalog; without one that of the pipeline. */
async function configsOf(
  catalog: string | undefined,
  load: (selected?: Selected) => Promise<ConfigOf<'source'>>,
): Promise<readonly [ConfigOf<'source'>, ...ConfigOf<'source'>[]]> {
  if (catalog === undefined) return [await load()]
  const [first, ...others] = await (await import('../../lib/pipe/catalog.ts')).selectedIn(catalog)
  return [await load(first), ...(await Promise.all(others.map(load)))]
}

async function several(
  configs: readonly ConfigOf<'source'>[],
  out: ByteOut,
  watch: Omit<ExtractStreamsOptions, 'states'>,
  { format, ack, state }: ExtractOptions,
): Promise<Pick<Extracted, 'status' | 'rows'>> {
  const names = configs.map(({ source }) => source.stream).join(', ')
  const refused = (what: string, hint: string): BizonError =>
    new BizonError('usage', `--catalog selects ${configs.length} streams (${names}), and ${what}`, { hint })
  if (format === 'airbyte')
    throw refused('--format airbyte is for one', 'bizon-extract read writes several as Airbyte messages.')
  if (format !== 'singer') throw refused(`--format ${format} is for one`, 'Select one, or leave out --format.')
  if (ack !== undefined) throw refused('--ack is for one', 'Select one, or leave out --ack.')
  const { extractStreams } = await import('../../lib/pipe/streams.ts')
  const { readBookmarks } = await import('../../lib/pipe/bookmarks.ts')
  const states = state === undefined ? undefined : await readBookmarks(state)
  return extractStreams(configs, out, { ...watch, states })
}

/** Who reads Airbyte messages learns from one of them why it failed; the words for people are on standard error. */
async function tell(error: unknown): Promise<void> {
  const { errorTrace } = await import('../../lib/pipe/airbyte/print.ts')
  const { DescriptorOut } = await import('../../lib/pipe/out.ts')
  await new DescriptorOut(1).write(Buffer.from(errorTrace(error))).catch(() => {})
}
