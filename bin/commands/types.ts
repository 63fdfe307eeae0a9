// bizon types: the types of a stream's records, for transforms and scripts in TypeScript.

import type { Command } from 'commander'
import { addCommand, requireFile, writeOut } from '../program.ts'
import type { Terminal } from '../terminal.ts'
import { envFileOption, requireFiles } from './options.ts'

interface TypesOptions {
  readonly out?: string
  readonly envFile?: string
}

export function addTypes(program: Command, terminal: Terminal): void {
  addCommand(
    program,
    'types',
    'Print the TypeScript types of the records of a pipeline, where their schema is known.',
    [
      { what: 'look at them', run: 'bizon types examples/rest.yml' },
      { what: 'write them beside your scripts', run: 'bizon types examples/rest.yml --out orders.d.ts' },
    ],
  )
    .argument('<FILENAME>', 'the pipeline, a YAML file')
    .option('--out <path>', 'write them to this file instead of standard output')
    .addOption(envFileOption())
    .action(async (filename: string, { out, envFile }: TypesOptions) => {
      requireFile(filename)
      requireFiles({ envFile })
      const { loadConfig } = await import('../../lib/config.ts')
      const { recordTypes } = await import('../../lib/record-types.ts')
      const config = await loadConfig(filename, ['source'], { envFile })
      terminal.conceal(config.secrets)
      await writeOut(recordTypes(config).trimEnd(), out, terminal)
    })
}
