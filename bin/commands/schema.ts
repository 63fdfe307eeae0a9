// bizon schema: what a pipeline file may hold, for the editor that completes and checks it.

import type { Command } from 'commander'
import { addCommand, writeOut } from '../program.ts'
import type { Terminal } from '../terminal.ts'

export function addSchema(program: Command, terminal: Terminal): void {
  addCommand(program, 'schema', 'Print the JSON Schema of a pipeline file, for completion and checks in an editor.', [
    { what: 'look at it', run: 'bizon schema | head' },
    {
      what: 'write it beside your pipelines; begin each with: # yaml-language-server: $schema=bizon.schema.json',
      run: 'bizon schema --out bizon.schema.json',
    },
  ])
    .option('--out <path>', 'write it to this file instead of standard output')
    .action(async ({ out }: { readonly out?: string }) => {
      const { pipelineJsonSchema } = await import('../../lib/config/json-schema.ts')
      await writeOut(JSON.stringify(await pipelineJsonSchema(), null, 2), out, terminal)
    })
}
