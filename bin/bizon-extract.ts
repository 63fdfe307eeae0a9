#!/usr/bin/env node
// Half a run: the source, to a pipe. The pipe itself comes with a later version; until then it says so.

import type { Command } from 'commander'
import { BizonError } from '../lib/errors.ts'
import { createProgram, main } from './program.ts'

function bizonExtract(): Command {
  return createProgram(
    'bizon-extract',
    'Extracts records from a source and writes them to stdout. Not available in this version.',
  )
    .argument('[arguments...]')
    .allowUnknownOption()
    .action(() => {
      throw new BizonError('usage', 'bizon-extract: the pipe is not available in this version', {
        hint: 'bizon run FILENAME, which does both halves in one process',
      })
    })
}

await main(bizonExtract)
