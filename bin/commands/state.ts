// bizon state: where a pipeline stands, and the few ways of changing that by hand.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { BizonError } from '../../lib/errors.ts'
import type { OpenState } from '../../lib/state/standing.ts'
import type { StateFormat } from '../../lib/state/value.ts'
import { addCommand, requireFile } from '../program.ts'
import { records } from '../progress.ts'
import type { Terminal } from '../terminal.ts'
import { customSourceOption, envFileOption, requireFiles } from './options.ts'

interface FileOptions {
  readonly stream?: string
  readonly customSource?: string
  readonly envFile?: string
}

interface LogOptions extends FileOptions {
  readonly job?: string
  readonly runs?: true
  readonly limit?: number
  readonly json?: true
}

export function addState(program: Command, terminal: Terminal): void {
  const ran = 'bizon run examples/weather.yml --quiet'
  const group = addCommand(program, 'state', 'Where a pipeline stands, and changing that by hand.', [
    { what: 'where it stands', run: 'bizon state show examples/weather.yml' },
    { what: 'its last checkpoints', run: `${ran} && bizon state log examples/weather.yml --limit 3` },
  ])

  fileCommand(group, 'show', 'Show where a pipeline stands, and what its next run does.', [
    { what: 'for people', run: 'bizon state show examples/weather.yml' },
    { what: 'for programs', run: 'bizon state show examples/weather.yml --json' },
  ])
    .option('--json', 'one line of JSON')
    .action((filename: string, options: FileOptions & { json?: true }) =>
      opened(
        filename,
        options,
        terminal,
        async (state) => {
          const { show, showJson } = await import('./state/show.ts')
          terminal.print(options.json ? await showJson(state) : await show(state))
        },
        true,
      ),
    )

  fileCommand(group, 'log', 'List the checkpoints of the newest run, or the runs of a pipeline; the newest is last.', [
    { what: 'the checkpoints of the newest run', run: `${ran} && bizon state log examples/weather.yml` },
    { what: 'the runs', run: 'bizon state log examples/weather.yml --runs' },
  ])
    .option('--job <id>', 'of this run instead of the newest')
    .option('--runs', 'the runs instead of checkpoints')
    .option('--limit <n>', 'only the newest so many', count)
    .option('--json', 'a line of JSON each')
    .action((filename: string, options: LogOptions) =>
      opened(filename, options, terminal, async (state) => {
        if (options.runs && options.job !== undefined)
          throw new BizonError('usage', '--runs and --job exclude each other')
        const { checkpointLines, runLines } = await import('./state/log.ts')
        for (const line of await (options.runs ? runLines : checkpointLines)(state, options)) terminal.print(line)
      }),
    )

  fileCommand(group, 'export', 'Print the STATE value that the next run goes on from; nothing, if it starts anew.', [
    { what: 'for bizon-extract --state', run: 'bizon state export examples/incremental.yml > state.json' },
    { what: 'for Airbyte', run: 'bizon state export examples/incremental.yml --format airbyte' },
  ])
    .addOption(
      new Option('--format <format>', 'bizon: what bizon-extract --state and import take; singer: one bare value')
        .choices(['bizon', 'singer', 'airbyte'])
        .default('bizon'),
    )
    .action((filename: string, options: FileOptions & { format: StateFormat }) =>
      opened(filename, options, terminal, async (state) => {
        const { exportState } = await import('../../lib/state/value.ts')
        const text = await exportState(state, options.format)
        if (text !== undefined) terminal.print(text)
        else terminal.note(`The next run of ${state.label} starts from the beginning, so there is no state to export.`)
      }),
    )

  fileCommand(group, 'import', 'Let the next run go on from a STATE value; what is loaded stays as it is.', [
    {
      what: 'keep the value that the state can be made of again, should its database be lost',
      run: 'bizon run examples/incremental.yml --quiet\n  bizon state export examples/incremental.yml > state.json\n  mv bizon.sqlite3 lost.sqlite3\n  bizon state import examples/incremental.yml state.json',
    },
  ])
    .argument('<PATH>', 'what bizon state export or bizon-load printed; - is standard input')
    .option('--expect <run:page>', 'where it must stand now, as show says (default: it has no state yet)')
    .action((filename: string, path: string, options: FileOptions & { expect?: string }) =>
      opened(filename, options, terminal, (state) => take(state, path, options.expect, terminal)),
    )

  fileCommand(group, 'rewind', 'Incremental: let the next run fetch again what came after an earlier run.', [
    {
      what: 'from where the run after the first one began',
      run: 'bizon run examples/incremental.yml --quiet\n  first=$(bizon state log examples/incremental.yml --runs --json | head -n 1 | cut -d \'"\' -f 4)\n  bizon state rewind examples/incremental.yml --to-job "$first"',
    },
  ])
    .requiredOption('--to-job <id>', 'a published run, as log --runs shows it; the last one takes a rewind back')
    .action((filename: string, options: FileOptions & { toJob: string }) =>
      opened(filename, options, terminal, (state) => rewind(state, options.toJob, terminal)),
    )

  fileCommand(group, 'clear', 'Give up unfinished runs; with --all forget the published ones too.', [
    { what: 'what would be forgotten', run: 'bizon state clear examples/weather.yml --dry-run' },
    { what: 'do it', run: 'bizon state clear examples/weather.yml --yes' },
  ])
    .option('--all', 'also where incremental runs begin: the next one fetches everything')
    .option('--dry-run', 'only say what would be forgotten')
    .option('--yes', 'do it')
    .action((filename: string, options: FileOptions & { all?: true; dryRun?: true; yes?: true }) =>
      opened(filename, options, terminal, (state) => clear(state, options, terminal)),
    )
}

function fileCommand(...[group, usage, description, examples]: Parameters<typeof addCommand>): Command {
  return addCommand(group, usage, description, examples)
    .argument('<FILENAME>', 'the pipeline, a YAML file')
    .option('--stream <name>', 'this stream instead of the one in the file')
    .addOption(customSourceOption())
    .addOption(envFileOption())
}

async function opened(
  filename: string,
  { stream, customSource, envFile }: FileOptions,
  terminal: Terminal,
  work: (state: OpenState) => Promise<void>,
  ofParts = false,
): Promise<void> {
  requireFile(filename)
  requireFiles({ customSource, envFile })
  const { loadConfig } = await import('../../lib/config.ts')
  const { withState } = await import('../../lib/state/standing.ts')
  const config = await loadConfig(filename, ['source'], {
    customSource,
    stream,
    envFile,
  })
  terminal.conceal(config.secrets)
  const { partitionsOf } = await import('../../lib/pipe/queue/partitions.ts')
  if (!ofParts && partitionsOf(config) > 1) throw inParts(filename, partitionsOf(config))
  await withState(config, work, terminal.log({ level: config.engine.runner.logLevel }))
}

function inParts(filename: string, partitions: number): BizonError {
  return new BizonError(
    'usage',
    `${filename}: the stream is loaded in ${partitions} partitions, each with a state of its own`,
    {
      hint: `bizon state show ${filename} shows all of them; to begin anew see docs/scaling.md.`,
    },
  )
}

async function take(state: OpenState, path: string, expect: string | undefined, terminal: Terminal): Promise<void> {
  const { importState } = await import('../../lib/state/import.ts')
  const { readStates } = await import('../../lib/state/value.ts')
  const name = path === '-' ? 'standard input' : path
  const text = path === '-' ? await standardInput() : await contentOf(path)
  const states = readStates(text, name, state.identity.stream)
  const { state: value, unchanged, reasons } = await importState(state, { states, expect })
  const { run, page, rows, end } = value
  const where = `${end ? 'the end' : `page ${page}`} of run ${run} (${records(rows)})`
  if (unchanged) return terminal.print(`${state.label} stands behind ${where} already; nothing was changed.`)
  terminal.print(`${state.label} stands behind ${where} now.`, 'green')
  terminal.note(`The next run ${reasons.join(', and ')}.`)
  terminal.note('Its destination has the last word: it must hold what was loaded up to there.', 'yellow')
}

async function standardInput(): Promise<string> {
  const { text } = await import('node:stream/consumers')
  return text(process.stdin)
}

async function contentOf(path: string): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  return readFile(requireFile(path), 'utf8')
}

async function rewind(state: OpenState, toJob: string, terminal: Terminal): Promise<void> {
  const { rewindState } = await import('../../lib/state/change.ts')
  const { published, to, unchanged } = await rewindState(state, toJob)
  const { label } = state
  if (unchanged) return terminal.print(`The next run of ${label} begins there already; nothing was changed.`)
  if (!to) return terminal.print(`The next run of ${label} begins where run ${published.id} ended, as usual.`, 'green')
  terminal.print(`The next run of ${label} fetches again what came after run ${to.id}.`, 'green')
  terminal.note('What comes twice is added twice, unless the destination merges. To take this back before it runs:')
  terminal.note(`bizon state rewind ${state.config.path} --to-job ${published.id}`)
}

async function clear(
  state: OpenState,
  { all = false, dryRun = false, yes = false }: { all?: boolean; dryRun?: boolean; yes?: boolean },
  terminal: Terminal,
): Promise<void> {
  const { clearState } = await import('../../lib/state/change.ts')
  const { config, label } = state
  const { cancelled, forgotten, reopened } = await clearState(state, { all, dry: dryRun || !yes })
  const what = [
    ...cancelled.map(({ id, status }) => `run ${id} (${status})`),
    ...(forgotten ? [`all published runs, the last one ${forgotten.id}`] : []),
  ]
  if (what.length === 0) return terminal.print(`There is nothing to forget of ${label}.`)
  if (dryRun || !yes) {
    const add = forgotten && config.destination?.definition.appendOnly
    for (const each of what) terminal.note(`To be forgotten: ${each}.`)
    if (add) terminal.note(`Destination ${config.destination?.name} can only add: empty it, or all is there twice.`)
    if (dryRun) return
    throw new BizonError('usage', 'nothing was forgotten: that cannot be taken back, and needs --yes', {
      hint: `bizon state clear ${config.path}${all ? ' --all' : ''} --yes`,
    })
  }
  for (const each of what) terminal.print(`Forgotten: ${each}.`)
  if (reopened > 0) terminal.print('The reset that it was to do is pending again.')
}

function count(text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new InvalidArgumentError('expected a whole number above 0.')
}
