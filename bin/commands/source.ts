// bizon source list: what can be read.

import type { Command } from 'commander'
import { addCommand } from '../program.ts'
import type { Terminal } from '../terminal.ts'

export function addSource(program: Command, terminal: Terminal): void {
  const group = addCommand(program, 'source', 'Sources that can be read.', [
    { what: 'every source with its streams', run: 'bizon source list' },
  ])
  addCommand(group, 'list', 'List the sources and their streams; * stands for any name.', [
    { what: 'every source with its streams', run: 'bizon source list' },
    { what: 'the streams of one source', run: 'bizon stream list dummy' },
  ]).action(async () => {
    const { listSources } = await import('../../lib/registry.ts')
    terminal.print('Available sources:')
    for (const { name, definition } of await listSources()) {
      const streams = definition.streams().map((stream) => `'${stream.name}'`)
      terminal.print(`${name} - [${streams.join(', ')}] - ${definition.summary}`)
    }
  })
}
