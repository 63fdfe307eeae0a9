// What the Airbyte commands of bizon-extract and bizon-load share: options, and errors told as messages.

import { type Command, Option } from 'commander'
import type { LogLevel } from '../../lib/log.ts'
import { addCommand, type Example } from '../program.ts'
import { type Signals, watchSignals } from '../signals.ts'
import type { LogFormat, Terminal } from '../terminal.ts'
import { isInterruption, PIPE_CLOSED } from './interruption.ts'
import { logFormatOption } from './options.ts'

/** The options that Airbyte hands to a connector, and how much is logged. */
export interface ConnectorOptions {
  readonly config: string
  readonly catalog: string
  readonly state?: string
  readonly logLevel?: LogLevel
  readonly logFormat?: LogFormat
}

/** A command of an Airbyte connector. */
export function addConnectorCommand(
  program: Command,
  name: string,
  description: string,
  options: readonly Option[],
  examples: readonly Example[],
): Command {
  const command = addCommand(program, name, description, examples)
  for (const option of options) command.addOption(option)
  return command
}

interface End {
  readonly part: 'source' | 'destination'
  /** What can be done with it. */
  readonly done: string
  /** An example of `--config`. */
  readonly config: string
}

/** `spec` and `check`, which both kinds of connector have. */
export function addSpecAndCheck(program: Command, terminal: Terminal, { part, done, config }: End): void {
  const name = program.name()
  addConnectorCommand(
    program,
    'spec',
    `As an Airbyte ${part}: print what --config may hold.`,
    [],
    [{ what: 'the message', run: `${name} spec` }],
  ).action(async () => {
    process.exitCode = await connector(terminal, async (print) => {
      const { spec } = await import('../../lib/pipe/airbyte/connector.ts')
      await print(await spec(part))
      return 0
    })
  })

  addConnectorCommand(
    program,
    'check',
    `As an Airbyte ${part}: say whether it can be ${done}.`,
    [configOption(), ...logOptions()],
    [{ what: 'SUCCEEDED, or FAILED with the reason', run: `${name} check --config ${config}` }],
  ).action(async ({ config: path, logLevel = 'INFO', logFormat }: ConnectorOptions) => {
    process.exitCode = await connector(terminal, async (print, signals) => {
      const { check } = await import('../../lib/pipe/airbyte/connector.ts')
      const { readConnectorConfig } = await import('../../lib/pipe/airbyte/files.ts')
      const log = terminal.log({ level: logLevel, format: logFormat })
      const signal = AbortSignal.any([signals.stop, signals.abort])
      await print(await check(part, () => readConnectorConfig(path), { log, signal }))
      return 0
    })
  })
}

/** `--config`. */
export const configOption = (): Option =>
  new Option(
    '--config <path>',
    'JSON: {"pipeline": "<path of a YAML file>"}, or the pipeline itself',
  ).makeOptionMandatory()

/** `--catalog`. */
export const catalogOption = (): Option =>
  new Option('--catalog <path>', 'the configured catalog: which streams, and how').makeOptionMandatory()

/** `--log-level` and `--log-format`: the log goes to standard error. */
export const logOptions = (): readonly Option[] => [
  new Option('--log-level <level>', 'least level to log')
    .choices(['DEBUG', 'INFO', 'WARNING', 'ERROR'])
    .default('INFO'),
  logFormatOption(),
]

/**
 * Runs a command of a connector, which prints messages and returns its exit code. A failure is told by a TRACE message
 * on standard output, and for people on standard error.
 */
export async function connector(
  terminal: Terminal,
  work: (print: (message: string) => Promise<void>, signals: Signals) => Promise<number>,
): Promise<number> {
  const { DescriptorOut, PipeClosed } = await import('../../lib/pipe/out.ts')
  const { errorTrace } = await import('../../lib/pipe/airbyte/print.ts')
  const { isTold } = await import('../../lib/pipe/airbyte/source.ts')
  const out = new DescriptorOut(1)
  const print = (message: string): Promise<void> => out.write(Buffer.from(message))
  const signals = watchSignals(terminal)
  try {
    return await work(print, signals)
  } catch (error) {
    if (error instanceof PipeClosed) return signals.exitCode() ?? PIPE_CLOSED
    const interrupted = signals.exitCode()
    if (interrupted !== undefined && isInterruption(error)) return interrupted
    if (!isTold(error)) await print(errorTrace(error)).catch(() => {})
    return terminal.fail(error)
  } finally {
    signals[Symbol.dispose]()
  }
}
