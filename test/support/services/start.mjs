// node test/support/services/start.mjs kafka|postgres|rabbitmq|schema-registry DIR PORT
// Prints the server's address. Started again in the same folder it has its data.

import { byHand } from './program.mjs'

const { startByHand } = await byHand()
process.stdout.write(`${await startByHand(process.argv.slice(2))}\n`)
process.exit()
