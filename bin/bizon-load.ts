#!/usr/bin/env node
// The other half: from a pipe to the destination. The pipe itself comes with a later version; until then it says so.

import type { Command } from 'commander'
import { BizonError } from '../lib/errors.ts'
import { createProgram, main } from './program.ts'

function bizonLoad(): Command {
  return createProgram('bizon-load', 'Loads records from stdin into a destination. Not available in this version.')
    .argument('[arguments...]')
    .allowUnknownOption()
    .action(() => {
      throw new BizonError('usage', 'bizon-load: the pipe is not available in this version', {
        hint: 'bizon run FILENAME, which does both halves in one process',
      })
    })
}

await main(bizonLoad)
