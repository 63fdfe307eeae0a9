// bizon-extract spec, check, discover and read: the source of a pipeline as an Airbyte source.

import { type Command, Option } from 'commander'
import { records } from '../progress.ts'
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

/** Adds the commands of an Airbyte source. */
export function addAirbyteSource(program: Command, terminal: Terminal): void {
  const config = 'examples/airbyte/source.json'
  addSpecAndCheck(program, terminal, { part: 'source', done: 'read', config })

  addConnectorCommand(
    program,
    'discover',
    'As an Airbyte source: print the streams that there are.',
    [configOption()],
    [{ what: 'the catalog', run: `bizon-extract discover --config ${config}` }],
  ).action(async ({ config: path }: ConnectorOptions) => {
    process.exitCode = await connector(terminal, async (print) => {
      const { discover } = await import('../../lib/pipe/airbyte/connector.ts')
      const { readConnectorConfig } = await import('../../lib/pipe/airbyte/files.ts')
      await print(await discover(await readConnectorConfig(path)))
      return 0
    })
  })

  addConnectorCommand(
    program,
    'read',
    'As an Airbyte source: print the records of the streams of a catalog.',
    [
      configOption(),
      catalogOption(),
      new Option('--state <path>', 'where each stream goes on: what was kept of the states (default: its beginning)'),
      ...logOptions(),
    ],
    [
      {
        what: 'into a destination',
        run: `bizon-extract read --config ${config} --catalog examples/airbyte/catalog.json | bizon-load write --config examples/airbyte/destination.json --catalog examples/airbyte/catalog.json`,
      },
    ],
  ).action(async ({ config: path, catalog, state, logLevel = 'INFO', logFormat }: ConnectorOptions) => {
    process.exitCode = await connector(terminal, async (_print, signals) => {
      const { readCatalog, readConnectorConfig, readStates } = await import('../../lib/pipe/airbyte/files.ts')
      const { readStreams } = await import('../../lib/pipe/airbyte/source.ts')
      const { DescriptorOut } = await import('../../lib/pipe/out.ts')
      const log = terminal.log({ level: logLevel, format: logFormat })
      const streams = await readCatalog(catalog)
      const { status, rows } = await readStreams(await readConnectorConfig(path), streams, new DescriptorOut(1), {
        log,
        ...(state !== undefined && { states: await readStates(state) }),
        signal: signals.abort,
        stop: signals.stop,
      })
      terminal.note(status === 'complete' ? `Extracted ${records(rows)}.` : `Stopped after ${records(rows)}.`)
      return status === 'complete' ? 0 : (signals.exitCode() ?? 0)
    })
  })
}
