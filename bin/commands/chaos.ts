// bizon chaos: the crash proof on the user's own pipeline.

import { realpathSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { ChaosReport } from '../../lib/chaos/chaos.ts'
import type { Losses } from '../../lib/chaos/content.ts'
import type { Other } from '../../lib/chaos/others.ts'
import type { Trial } from '../../lib/chaos/trial.ts'
import { BizonError } from '../../lib/errors.ts'
import { addCommand, requireFile } from '../program.ts'
import { requireReport, writeReport } from '../report.ts'
import { watchSignals } from '../signals.ts'
import type { Terminal } from '../terminal.ts'
import { isInterruption, untold } from './interruption.ts'
import {
  customDestinationOption,
  customSourceOption,
  envFileOption,
  quietOption,
  replayOption,
  requireFiles,
} from './options.ts'

interface ChaosOptions {
  readonly kills?: number
  readonly seed?: number
  readonly only?: string
  readonly with: readonly Other[]
  readonly engine: 'points' | 'strace'
  readonly pipe?: true
  readonly report?: string
  readonly customSource?: string
  readonly customDestination?: string
  readonly envFile?: string
  readonly replay?: string
  readonly quiet?: true
}

/** How long it takes unless told. */
const SECONDS = 50
const MOST_SHOWN = 10
const ALL_OTHERS: readonly Other[] = ['sigterm', 'enospc', 'connections', 'pipe']

export function addChaos(program: Command, terminal: Terminal): void {
  addCommand(
    program,
    'chaos',
    'Kill runs of a pipeline at their durable operations, resume them, and compare what they load. The real state and target are not touched; in PostgreSQL the trials have schemas of their own, for which the role needs GRANT CREATE ON DATABASE. Exits with 1 if a row was lost, doubled or changed, with 2 if it cannot be tried.',
    [
      {
        what: 'three kills and nothing else, and what was done as JSON; without --kills as many as take a minute',
        run: 'bizon chaos examples/weather.yml --kills 3 --with none --report chaos.json',
      },
    ],
  )
    .argument('<FILENAME>', 'the pipeline, a YAML file; what it writes goes to a folder, or a schema, of its own')
    .addOption(
      new Option(
        '--kills <n>',
        'kill at so many operations, spread evenly, or at all (default: what fits into a minute)',
      ).argParser(killsOf),
    )
    .addOption(
      new Option('--seed <n>', 'which of them; the same number chooses the same (default: any)').argParser(whole),
    )
    .option('--only <text>', 'kill only at operations whose name has this in it, such as "second run: publish"')
    .addOption(
      new Option(
        '--with <what>',
        'what else is done to runs, with commas between: sigterm (a stop), enospc (a full disk), connections (to a server, all cut at once), pipe (between two processes, which loses one); or none',
      )
        .default(ALL_OTHERS, 'all that the destination allows')
        .argParser(othersOf),
    )
    .addOption(
      new Option(
        '--engine <engine>',
        'what counts as an operation: the named points of docs/delivery.md, or on Linux each sync, rename, cut and removal of a file, by strace',
      )
        .choices(['points', 'strace'])
        .default('points'),
    )
    .option('--pipe', 'run bizon-extract and bizon-load with a pipe between, and kill either')
    .option('--report <path>', 'write what was done, and what came of it, to this file as JSON')
    .addOption(customSourceOption())
    .addOption(customDestinationOption())
    .addOption(envFileOption())
    .addOption(replayOption())
    .addOption(quietOption())
    .action(async (filename: string, options: ChaosOptions) => {
      requireFile(filename)
      requireFiles(options)
      requireReport(options.report, { dash: false, taken: [filename] })
      process.exitCode = await chaos(filename, options, terminal)
    })
}

async function chaos(filename: string, options: ChaosOptions, terminal: Terminal): Promise<number> {
  const { kills, engine, only, pipe = false, report: path, quiet } = options
  const { customSource, customDestination, envFile, replay } = options
  const seed = options.seed ?? Math.floor(Math.random() * 1_000_000)
  const signals = watchSignals({ note: () => {} })
  try {
    const { loadConfig } = await import('../../lib/config.ts')
    const { chaos: disturb } = await import('../../lib/chaos/chaos.ts')
    const overrides = { customSource, customDestination, envFile, replay }
    const config = await loadConfig(filename, ['source', 'destination'], overrides)
    terminal.conceal(config.secrets)
    if (config.source.mode === 'stream') {
      throw new BizonError('usage', `${filename}: a stream has no end, by which runs could be compared`, {
        hint: 'Try it with sync_mode: incremental, which loads by the same steps.',
      })
    }
    if (engine === 'strace') await requireStrace()
    if (!quiet)
      terminal.note(`Trying ${config.name} in a scratch place; nothing of its own state and target is touched.`)
    const args = (names: Readonly<Record<string, string | undefined>>): string[] =>
      Object.entries(names).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]))
    const found = await disturb(filename, {
      program: {
        file: filename,
        ...programs(),
        args: args({ 'env-file': envFile }),
        reading: args({ 'custom-source': customSource, replay }),
        writing: args({ 'custom-destination': customDestination }),
      },
      overrides,
      pipe,
      engine,
      only,
      with: options.with,
      ...(kills !== undefined && { kills }),
      seconds: SECONDS,
      seed,
      signal: AbortSignal.any([signals.stop, signals.abort]),
      progress: (done, of, faults) =>
        terminal.redraw(
          done === of ? undefined : `${done} of ${of} trials${faults > 0 ? `, ${faults} with faults` : ''}`,
        ),
    })
    if (path !== undefined) await writeReport(path, `${JSON.stringify(found, null, 2)}\n`)
    for (const line of linesOf(found)) terminal.print(line)
    if (!quiet) for (const line of notesOf(found)) terminal.note(line)
    if (found.faulty.length === 0) return 0
    const trials = found.faulty.length === 1 ? '1 trial' : `${found.faulty.length} trials`
    throw new BizonError('edited', `${trials} did not end with the rows of an undisturbed run`, {
      hint: 'keep the report (--report FILE) and file an issue: this is a bug of bizon, or of the destination.',
    })
  } catch (error) {
    terminal.redraw(undefined)
    const interrupted = signals.exitCode()
    if (interrupted !== undefined && isInterruption(error)) return interrupted
    return untold(terminal.fail(error), error)
  } finally {
    signals[Symbol.dispose]()
  }
}

/** The programs beside this one, whose children are to be killed. */
function programs(): { bizon: string; extract: string; load: string } {
  const bizon = realpathSync(process.argv[1] ?? '')
  const beside = (name: string): string => join(dirname(bizon), `${name}${extname(bizon)}`)
  return { bizon, extract: beside('bizon-extract'), load: beside('bizon-load') }
}

async function requireStrace(): Promise<void> {
  const { spawnSync } = await import('node:child_process')
  const { status, stderr, error } = spawnSync('strace', ['-f', '-qq', '-o', '/dev/null', 'true'], { encoding: 'utf8' })
  if (status === 0) return
  throw new BizonError('usage', `--engine strace: strace does not work here: ${error?.message ?? stderr.trim()}`, {
    hint: '--engine points, which needs nothing.',
  })
}

function linesOf({ operations, killed, also, faulty, ...losses }: ChaosReport): string[] {
  const each = killed === operations ? `killed at each ${killed}` : `killed at ${killed} of ${operations}`
  const shown = faulty.slice(0, MOST_SHOWN).map((trial) => `  ${describe(trial)}`)
  const more = faulty.length - shown.length
  return [
    `durable operations ${operations} · ${each} · ${lossesText(losses)}`,
    ...also.map(({ kind, tried, ...own }) => `${kind} ${tried} · ${lossesText(own)}`),
    ...shown,
    ...(more > 0 ? [`  and ${more} more`] : []),
  ]
}

const lossesText = ({ lost, doubled, changed }: Losses): string =>
  `lost ${lost} · doubled ${doubled} · changed ${changed}`

function describe({ kind, at, faults, lost, doubled, changed }: Trial): string {
  const counts = { lost, doubled, changed }
  const rows = Object.entries(counts).flatMap(([what, count]) => (count > 0 ? [`${what} ${count}`] : []))
  return `${kind} at ${at}: ${[...faults, ...rows].join('; ')}`
}

function notesOf({ rows, leftOut, histogram, seed, seconds }: ChaosReport): string[] {
  const points = Object.entries(histogram).map(([name, count]) => `${name} ${count}`)
  return [
    `each with the ${rows} rows of an undisturbed run, in ${seconds.toFixed(0)} s (--seed ${seed})`,
    ...(points.length > 0 ? [`killed at: ${points.join(' · ')}`] : []),
    ...leftOut.map((what) => `not tried: ${what}`),
  ]
}

function othersOf(text: string): readonly Other[] {
  if (text === 'none') return []
  const names = text.split(',').map((name) => name.trim())
  const unknown = names.find((name) => !ALL_OTHERS.some((other) => other === name))
  if (unknown === undefined) return ALL_OTHERS.filter((other) => names.includes(other))
  throw new InvalidArgumentError(`${JSON.stringify(unknown)} is none of ${ALL_OTHERS.join(', ')}; or none.`)
}

function killsOf(text: string): number {
  return text === 'all' ? Number.MAX_SAFE_INTEGER : whole(text)
}

function whole(text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new InvalidArgumentError('expected a whole number.')
}
