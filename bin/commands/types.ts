// bizon types: the types of a stream's records, for transforms and scripts in TypeScript.

import type { Command } from 'commander'
import { addCommand, requireFile, writeOut } from '../program.ts'
import type { Terminal } from '../terminal.ts'

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
    .option('--env-file <path>', 'read variables from this file instead of .env; those already set win')
    .action(async (filename: string, { out, envFile }: TypesOptions) => {
      requireFile(filename)
      if (envFile !== undefined) requireFile(envFile, '--env-file')
      const { loadConfig } = await import('../../lib/config.ts')
      const { recordTypes } = await import('../../lib/record-types.ts')
      const config = await loadConfig(filename, ['source'], { ...(envFile !== undefined && { envFile }) })
      terminal.conceal(config.secrets)
      await writeOut(recordTypes(config).trimEnd(), out, terminal)
    })
}
