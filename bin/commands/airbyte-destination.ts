// bizon-load spec, check and write: the destination of a pipeline as an Airbyte destination.

import type { Command } from 'commander'
import type { RawJson } from '../../lib/record.ts'
import { summary } from '../progress.ts'
import type { Terminal } from '../terminal.ts'
import {
  addConnectorCommand,
  addSpecAndCheck,
  type ConnectorOptions,
  catalogOption,
  configOption,
  connector,
  logOptions,
} from './airbyte.ts'

/** Adds the commands of an Airbyte destination. */
export function addAirbyteDestination(program: Command, terminal: Terminal): void {
  const config = 'examples/airbyte/destination.json'
  addSpecAndCheck(program, terminal, { part: 'destination', done: 'written', config })

  addConnectorCommand(
    program,
    'write',
    'As an Airbyte destination: load the messages from standard input.',
    [configOption(), catalogOption(), ...logOptions()],
    [
      {
        what: 'from any Airbyte source',
        run: `bizon-load write --config ${config} --catalog examples/airbyte/catalog.json < examples/airbyte/messages.jsonl`,
      },
    ],
  ).action(async (options: ConnectorOptions) => {
    process.exitCode = await connector(terminal, async (print, signals) => {
      try {
        return await write(options, terminal, print, signals)
      } finally {
        process.stdin.destroy()
      }
    })
  })
}

async function write(
  { config: path, catalog: file, logLevel = 'INFO', logFormat }: ConnectorOptions,
  terminal: Terminal,
  print: (message: string) => Promise<void>,
  signals: { readonly stop: AbortSignal; readonly abort: AbortSignal; exitCode(): number | undefined },
): Promise<number> {
  const { loadConfig } = await import('../../lib/config.ts')
  const { load } = await import('../../lib/load.ts')
  const { pipeline } = await import('../../lib/pipeline.ts')
  const { FromPipe } = await import('../../lib/pipe/from.ts')
  const { loadingOf, readCatalog, readConnectorConfig } = await import('../../lib/pipe/airbyte/files.ts')
  const catalog = loadingOf(await readCatalog(file))
  const config = await loadConfig(await readConnectorConfig(path), ['destination'])
  terminal.conceal(config.secrets)
  const log = terminal.log({ level: logLevel, format: logFormat })
  for (const warning of config.warnings) log.warn(warning)
  const pipe = new FromPipe(process.stdin, config, {
    from: 'airbyte',
    catalog,
    signal: AbortSignal.any([signals.stop, signals.abort]),
    acknowledged: (message: RawJson) => print(`${message.toString()}\n`),
  })
  const outcome = await pipeline(pipe, load(config), { log, signal: signals.abort, stop: signals.stop })
  if (outcome.status !== 'complete') return signals.exitCode() ?? 1
  for (const line of summary(outcome)) terminal.note(line)
  return 0
}
