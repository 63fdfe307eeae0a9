#!/usr/bin/env node
// The `bizon` command: one file per command below commands/.

import type { Command } from 'commander'
import { addChaos } from './commands/chaos.ts'
import { addCheck } from './commands/check.ts'
import { addDestination } from './commands/destination.ts'
import { addNew } from './commands/new.ts'
import { addPlan } from './commands/plan.ts'
import { addRun } from './commands/run.ts'
import { addSchema } from './commands/schema.ts'
import { addSecrets } from './commands/secrets.ts'
import { addSource } from './commands/source.ts'
import { addState } from './commands/state.ts'
import { addStream } from './commands/stream.ts'
import { addTransform } from './commands/transform.ts'
import { addTypes } from './commands/types.ts'
import { addVerify } from './commands/verify.ts'
import { createProgram, examplesText, main } from './program.ts'
import type { Terminal } from './terminal.ts'

function bizon(terminal: Terminal): Command {
  const program = createProgram(
    'bizon',
    'Extracts records from a source and loads them into a destination, nothing lost and nothing twice.',
  )
  addRun(program, terminal)
  addCheck(program, terminal)
  addPlan(program, terminal)
  addVerify(program, terminal)
  addChaos(program, terminal)
  addSource(program, terminal)
  addStream(program, terminal)
  addState(program, terminal)
  addDestination(program, terminal)
  addSecrets(program, terminal)
  addSchema(program, terminal)
  addTypes(program, terminal)
  addTransform(program, terminal)
  addNew(program, terminal)
  return program.addHelpText(
    'after',
    examplesText([
      { what: 'load a file of weather data, then look at it', run: 'bizon run examples/weather.yml' },
      { what: 'what can be read, and where it can go', run: 'bizon source list && bizon destination list' },
      { what: 'all options of one command', run: 'bizon run --help' },
    ]),
  )
}

await main(bizon)
