#!/usr/bin/env node
// The second half of a pipeline: from standard input to the destination.

import { addLoad } from './commands/load.ts'
import { main } from './program.ts'

await main(addLoad, { data: true })
