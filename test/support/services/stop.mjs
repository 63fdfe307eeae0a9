// node test/support/services/stop.mjs DIR
// Ends the server whose data are in the folder.

import { byHand } from './program.mjs'

const { stopByHand } = await byHand()
await stopByHand(process.argv.slice(2))
