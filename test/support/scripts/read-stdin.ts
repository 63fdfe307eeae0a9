// Reads NDJSON from standard input with the file source and prints the ids of each page; stops on SIGTERM.

import source from '../../../connectors/sources/file.ts'
import { sourceContext } from '../source-context.ts'

const controller = new AbortController()
process.once('SIGTERM', () => controller.abort())
const context = sourceContext({ mode: 'stream' })
for await (const page of source.create(source.config.parse({ path: '-' }), context).read({}, controller.signal)) {
  process.stdout.write(`${page.records.map((record) => record.id).join(' ')}\n`)
}
process.stdout.write('done\n')
