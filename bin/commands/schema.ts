// bizon schema: what a pipeline file may hold, for the editor that completes and checks it.

import type { Command } from 'commander'
import { BizonError, messageOf } from '../../lib/errors.ts'
import { addCommand } from '../program.ts'
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
      const text = JSON.stringify(await pipelineJsonSchema(), null, 2)
      if (out === undefined) terminal.print(text)
      else await write(out, text)
    })
}

async function write(path: string, text: string): Promise<void> {
  const { writeFile } = await import('node:fs/promises')
  try {
    await writeFile(path, `${text}\n`)
  } catch (error) {
    throw new BizonError('usage', `--out: cannot write ${path}: ${messageOf(error)}`, { cause: error })
  }
}
