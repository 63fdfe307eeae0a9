// Reads NDJSON from standard input with the file source and prints the ids of each page; stops on SIGTERM.

import source from '../../../connectors/sources/file.ts'
import { silentLog } from '../../../lib/log.ts'

const controller = new AbortController()
process.once('SIGTERM', () => controller.abort())
const context = { pipeline: 'p', stream: 's', mode: 'stream', log: silentLog } as const
for await (const page of source.create(source.config.parse({ path: '-' }), context).read({}, controller.signal)) {
  process.stdout.write(`${page.records.map((record) => record.id).join(' ')}\n`)
}
process.stdout.write('done\n')
