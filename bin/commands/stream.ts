// bizon stream list, bizon stream reset: the streams of a source, and asking for a whole fetch of one.

import type { Command } from 'commander'
import type { SourceShape } from '../../lib/config/planned.ts'
import { BizonError } from '../../lib/errors.ts'
import type { Known } from '../../lib/registry.ts'
import type { SourceDefinition } from '../../lib/source.ts'
import { addCommand, requireFile } from '../program.ts'
import type { Terminal } from '../terminal.ts'
import { envFileOption, requireFiles } from './options.ts'

interface ListOptions {
  readonly customSource?: string
}

interface ResetOptions {
  readonly customSource?: string
  readonly stream?: string
  readonly cancel?: true
  readonly envFile?: string
}

export function addStream(program: Command, terminal: Terminal): void {
  const group = addCommand(program, 'stream', 'Streams of a source, and their resets.', [
    { what: 'the streams of one source', run: 'bizon stream list dummy' },
    { what: 'fetch everything again at the next run', run: 'bizon stream reset examples/incremental.yml' },
  ])

  addCommand(group, 'list', 'List the streams of a source; * stands for any name.', [
    { what: 'the streams of one source', run: 'bizon stream list dummy' },
    {
      what: 'those of a source of your own',
      run: 'bizon new source mine && bizon stream list --custom-source mine.mjs',
    },
  ])
    .argument('[SOURCE_NAME]', 'as `bizon source list` shows it')
    .option('--custom-source <path>', 'the source defined in this file')
    .action(async (name: string | undefined, options: ListOptions) => {
      const found = await named(name, options)
      const when = found.definition ? '' : `, which is not built yet and comes with bizon ${found.release}`
      terminal.print(`Available streams for ${name ?? options.customSource}${when}:`)
      for (const stream of found.shape.streams()) {
        terminal.print(`[${stream.incremental ? 'Supports incremental' : 'Full refresh only'}] - ${stream.name}`)
      }
    })

  addCommand(
    group,
    'reset',
    'Ask the next run of an incremental stream to fetch everything again and replace what was loaded.',
    [
      { what: 'ask for it', run: 'bizon stream reset examples/incremental.yml' },
      { what: 'take it back', run: 'bizon stream reset examples/incremental.yml --cancel' },
    ],
  )
    .argument('<FILENAME>', 'the pipeline, a YAML file')
    .option('--stream <name>', 'this stream instead of the one in the file')
    .option('--custom-source <path>', 'the source is defined in this file (source.source_file_path)')
    .option('--cancel', 'withdraw the requests that no run has taken up')
    .addOption(envFileOption())
    .action(async (filename: string, options: ResetOptions) => {
      requireFile(filename)
      requireFiles(options)
      await reset(filename, options, terminal)
    })
}

async function named(
  name: string | undefined,
  { customSource }: ListOptions,
): Promise<Known<SourceDefinition, SourceShape>> {
  if (customSource !== undefined) {
    requireFile(customSource, '--custom-source')
    const definition = await (await import('../../lib/custom/definition.ts')).customSource(customSource)
    return { shape: definition, definition }
  }
  if (name === undefined)
    throw new BizonError('usage', 'which source? Give its name, or --custom-source with a file', {
      hint: 'bizon source list',
    })
  return (await import('../../lib/registry.ts')).knownSource(name)
}

async function reset(filename: string, options: ResetOptions, terminal: Terminal): Promise<void> {
  const { customSource, stream, cancel, envFile } = options
  const { loadConfig } = await import('../../lib/config.ts')
  const config = await loadConfig(filename, ['source'], {
    customSource,
    stream,
    envFile,
  })
  terminal.conceal(config.secrets ?? [])
  const { source } = config
  const { backend } = config.engine
  const label = `${source.name} - ${source.stream}`

  if (source.mode !== 'incremental') {
    throw new BizonError('usage', `${label}: sync_mode is ${source.mode}, and only incremental streams can be reset`, {
      hint:
        source.mode === 'full_refresh'
          ? 'just run it: a full refresh fetches everything each time'
          : `set source.sync_mode to incremental in ${filename}`,
    })
  }
  if (config.destination?.definition.appendOnly) {
    throw new BizonError('usage', `${label}: destination ${config.destination.name} can only add rows`, {
      hint: 'empty the target by hand, and start the pipeline under another name',
    })
  }
  if (backend.type === 'sqlite_in_memory') {
    throw new BizonError(
      'usage',
      `${label}: the state is in memory (engine.backend.type), so no later run would see the request`,
      {
        hint: `set engine.backend.type to sqlite in ${filename}, or use bizon run ${filename} --reset`,
      },
    )
  }
  if (backend.type === 'sqlite')
    terminal.note(`Only runs that use the file ${backend.database}.sqlite3 see the request.`, 'yellow')

  const identity = { name: config.name, source: source.name, stream: source.stream }
  const store = backend.definition.create(backend)
  try {
    await store.open()
    if (cancel) {
      const withdrawn = await store.cancelResets(identity)
      if (withdrawn === 0) terminal.print(`No reset is pending for ${label}.`)
      else terminal.print(`Withdrew ${withdrawn} pending reset${withdrawn === 1 ? '' : 's'} of ${label}.`, 'green')
      return
    }
    const known = await store.lastSucceeded(identity)
    if (!(await store.requestReset(identity))) {
      terminal.print(`A reset of ${label} is pending already; nothing was added.`)
      return
    }
    if (!known) terminal.note(`${label} never finished a run before: check the name of the stream.`, 'yellow')
    terminal.print(`The next run of ${label} fetches everything again and replaces what was loaded.`, 'green')
  } finally {
    await store.close()
  }
}
