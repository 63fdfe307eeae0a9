// One log line per record: to see what a source gives. Holds nothing, so that the state store's word is taken.

import * as z from 'zod'
import { type Destination, defineDestination, type Run } from '../../lib/destination.ts'
import { textOf } from '../../lib/record.ts'

const config = z.strictObject({
  dummy: z.string().nullish().describe('Accepted and ignored, as in the Python bizon.'),
})

export default defineDestination({
  summary: 'Logs each record at level INFO, to standard error.',
  config,
  create(_options, { log }): Destination {
    let mode: Run['mode']
    return {
      async open(run) {
        mode = run.mode
        return run.stored
      },
      async write(page) {
        for (const { data } of page.records) log.info(`[${mode}] ${oneLine(textOf(data))}`)
      },
      async flush() {
        return undefined
      },
      async publish() {
        log.info(`[${mode}] complete`)
      },
      async close() {},
    }
  },
})

/** Raw line breaks are white space in JSON; in a log they would let a record forge lines. */
function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, ' ')
}
