// bizon source list: what can be read.

import type { Command } from 'commander'
import type { StreamInfo } from '../../lib/source.ts'
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
    const { listPlannedSources, listSources } = await import('../../lib/registry.ts')
    const names = (streams: readonly StreamInfo[]) => `[${streams.map(({ name }) => `'${name}'`).join(', ')}]`
    terminal.print('Available sources:')
    for (const { name, definition } of await listSources()) {
      terminal.print(`${name} - ${names(definition.streams())} - ${definition.summary}`)
    }
    terminal.print('Not built yet:')
    for (const { name, release, shape } of await listPlannedSources()) {
      terminal.print(`${name} - ${names(shape.streams())} - comes with bizon ${release} - ${shape.summary}`)
    }
  })
}
