// argv: path of a database without `.sqlite3`. Gives up the rights of root, if it has them, opens the store and asks
// for a reset; says the error's code and message.

import sqlite from '../../../connectors/stores/sqlite.ts'
import { BizonError, messageOf } from '../../../lib/errors.ts'

const [database = ''] = process.argv.slice(2)
const store = sqlite.create({ type: 'sqlite', database, schema: '', echo: false })
// Loaded while the module may still be read.
await import('better-sqlite3')
if (process.getuid?.() === 0) process.setuid?.(65534)
try {
  await store.open()
  await store.requestReset({ name: 'n', source: 's', stream: 't' })
  process.stdout.write('done\n')
} catch (error) {
  process.stdout.write(`${error instanceof BizonError ? error.code : 'not a BizonError'} ${messageOf(error)}\n`)
} finally {
  await store.close()
}
