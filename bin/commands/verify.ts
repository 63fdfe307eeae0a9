// bizon verify: what was loaded is read back and compared with what the checkpoints recorded.

import type { Command } from 'commander'
import type { Difference } from '../../lib/audit/compare.ts'
import type { Verified } from '../../lib/audit/verify.ts'
import { BizonError } from '../../lib/errors.ts'
import type { LogLevel } from '../../lib/log.ts'
import { addCommand, requireFile } from '../program.ts'
import { watchSignals } from '../signals.ts'
import type { LogFormat, Terminal } from '../terminal.ts'
import { isInterruption, untold } from './interruption.ts'
import {
  customDestinationOption,
  customSourceOption,
  envFileOption,
  logFormatOption,
  logLevelOption,
  requireFiles,
} from './options.ts'

interface VerifyOptions {
  readonly customSource?: string
  readonly customDestination?: string
  readonly envFile?: string
  readonly counts?: true
  readonly json?: true
  readonly logLevel?: LogLevel
  readonly logFormat?: LogFormat
}

export function addVerify(program: Command, terminal: Terminal): void {
  addCommand(
    program,
    'verify',
    'Read back what was loaded and compare it with what the checkpoints recorded. Exits with 1 if something differs, with 2 if it cannot be told.',
    [
      {
        what: 'whether every row is still there, as it was loaded',
        run: 'bizon run examples/events.yml && bizon verify examples/events.yml',
      },
      {
        what: 'count only, where no digests were kept',
        run: 'bizon run examples/weather.yml && bizon verify examples/weather.yml --counts',
      },
      {
        what: 'for a program',
        run: 'bizon run examples/events.yml && bizon verify examples/events.yml --json | jq .differences',
      },
    ],
  )
    .argument(
      '<FILENAME>',
      'the pipeline, a YAML file; with `verify: true` in it, values are compared and not only counts',
    )
    .option('--counts', 'be content with counts where there are no digests')
    .option('--json', 'print the result as one JSON object')
    .addOption(customSourceOption())
    .addOption(customDestinationOption())
    .addOption(envFileOption())
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .action(async (filename: string, options: VerifyOptions) => {
      requireFile(filename)
      requireFiles(options)
      process.exitCode = await verify(filename, options, terminal)
    })
}

async function verify(filename: string, options: VerifyOptions, terminal: Terminal): Promise<number> {
  const { customSource, customDestination, envFile, counts, json, logFormat } = options
  let level = options.logLevel
  const signals = watchSignals({ note: () => {} })
  try {
    const { loadConfig } = await import('../../lib/config.ts')
    const { verify: verifyPipeline } = await import('../../lib/audit/verify.ts')
    const given = { logLevel: level, customSource, customDestination, envFile }
    const config = await loadConfig(filename, ['source', 'destination'], given)
    terminal.conceal(config.secrets)
    level = config.engine.runner.logLevel
    const log = terminal.log({ level, format: logFormat })
    const signal = AbortSignal.any([signals.stop, signals.abort])
    const verified = await verifyPipeline(config, { log, signal })
    if (json) terminal.print(JSON.stringify(verified))
    else for (const line of linesOf(verified, counts === true)) terminal.print(line)
    const { unfinished } = verified
    if (unfinished !== undefined && !json) {
      terminal.note(`run ${unfinished} has not ended: compared is what was published before it.`)
    }
    if (verified.differences.length > 0) {
      const { differences, more } = verified
      const ranges = more === 0 ? '' : `, and ${more} more ranges of rows`
      const first = describe(differences[0] as Difference)
      throw new BizonError(
        'edited',
        `what is published is not what was loaded: ${first}${others(differences)}${ranges}`,
        {
          hint: 'load everything again: a full refresh, or --reset of an incremental pipeline.',
        },
      )
    }
    if (verified.countsOnly !== undefined && !counts) {
      throw new BizonError('usage', `values could not be compared: ${verified.countsOnly}`, {
        hint: '--counts, if counts are enough.',
      })
    }
    return 0
  } catch (error) {
    const interrupted = signals.exitCode()
    if (interrupted !== undefined && isInterruption(error)) return interrupted
    return untold(terminal.fail(error, { stack: level === 'DEBUG' || level === 'TRACE' }), error)
  } finally {
    signals[Symbol.dispose]()
  }
}

const others = ({ length }: readonly Difference[]): string =>
  length === 1 ? '' : `; ${length - 1} more ${length === 2 ? 'difference' : 'differences'}`

function linesOf(
  { tables, rows, differences, pending, countsOnly, compared, blind }: Verified,
  countsDo: boolean,
): string[] {
  // Counts that nobody said are enough are no result.
  const good = countsOnly === undefined || countsDo ? 'ok' : '??'
  const width = Math.max(...tables.map(({ place }) => place.length), 0)
  const digits = Math.max(
    ...tables.flatMap(({ rows: found, expected }) => [`${found}`.length, `${expected}`.length]),
    0,
  )
  const lines = tables.map(({ place, rows: found, expected }) => {
    const isOther = differences.some((difference) => difference.place === place)
    const of = found === expected ? '' : ` of ${expected}`
    return `${isOther ? 'no' : good}  ${place.padEnd(width)}  ${`${found}`.padStart(digits)} rows${of}`
  })
  if (differences.length > 0) return [...lines, ...differences.map((difference) => `    ${describe(difference)}`)]
  const behind = pending === 0 ? '' : `; ${pending} behind the last checkpoint`
  if (countsOnly !== undefined) {
    const how = blind
      ? ' (without ids: one that is missing would make up for another that is there twice)'
      : ', each once'
    const only = countsDo ? '' : '; values were not compared'
    return [...lines, `counted ${rows} rows${rows > 0 ? how : ''}${behind}${only}`]
  }
  return [
    ...lines,
    `verified ${rows} rows${behind}${compared === 'payloads' ? ' (values alone: ids of records are not kept)' : ''}`,
  ]
}

function describe({ place, kind, run, rows, range, records, count }: Difference): string {
  const which = rows
    ? `${rows.length === 1 ? 'row' : 'rows'} ${list(rows.map(String), count)}`
    : range
      ? `${count === 1 ? 'a row' : `${count} rows`} of rows ${range[0]} to ${range[1]}`
      : `${count === 1 ? 'a row' : `${count} rows`}`
  const ids =
    records && records.length > 0
      ? ` (${list(
          records.map((id) => JSON.stringify(id)),
          records.length,
        )})`
      : ''
  const of = run === undefined ? '' : ` of run ${run}`
  const one = count === 1
  const what = {
    missing: `${one ? 'is' : 'are'} missing`,
    surplus: `${one ? 'is' : 'are'} too many`,
    doubled: `${one ? 'is' : 'are'} there more than once`,
    changed: `${one ? 'is' : 'are'} not as loaded`,
    exchanged: "have each other's values",
    differs: 'or more are not as loaded',
    unknown: `${one ? 'is' : 'are'} of no run that the state store knows`,
  }[kind]
  return `${place}: ${which}${ids}${of} ${what}`
}

function list(items: readonly string[], count: number): string {
  const shown = items.slice(0, 5)
  const more = count - shown.length
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ')
}
