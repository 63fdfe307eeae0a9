// bizon destination list: where records can go.

import type { Command } from 'commander'
import { addCommand } from '../program.ts'
import type { Terminal } from '../terminal.ts'

export function addDestination(program: Command, terminal: Terminal): void {
  const group = addCommand(program, 'destination', 'Destinations that can be written.', [
    { what: 'every destination', run: 'bizon destination list' },
  ])
  addCommand(group, 'list', 'List the destinations.', [
    { what: 'every destination', run: 'bizon destination list' },
  ]).action(async () => {
    const { listDestinations, listPlannedDestinations } = await import('../../lib/registry.ts')
    terminal.print('Available destinations:')
    for (const { name, definition } of await listDestinations()) terminal.print(`${name} - ${definition.summary}`)
    terminal.print('Not built yet:')
    for (const { name, release, shape } of await listPlannedDestinations()) {
      terminal.print(`${name} - comes with bizon ${release} - ${shape.summary}`)
    }
  })
}
