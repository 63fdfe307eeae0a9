#!/usr/bin/env node
// The first half of a pipeline: the source, to standard output.

import { addExtract } from './commands/extract.ts'
import { main } from './program.ts'

await main(addExtract, { data: true })
