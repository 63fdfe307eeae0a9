// argv: path of a database file, and of better-sqlite3. Gives up the rights of root, if it has them, checks the sqlite destination and opens it; says
// each error's code and message.

import { SqliteThread } from '../../../connectors/sqlite/thread.ts'
import { BizonError, messageOf } from '../../../lib/errors.ts'
import { never, runOf } from '../load.ts'
import { sqliteDestination } from '../sqlite-destination.ts'

const [path = '', client = ''] = process.argv.slice(2)
// Loaded while the module may still be read.
await import('better-sqlite3')
const thread = new SqliteThread(client)
await thread.open({ path: ':memory:', busyTimeoutMs: 0 })
await thread.close()
if (process.getuid?.() === 0) process.setuid?.(65534)
const say = (what: string) => (error: unknown) =>
  void process.stdout.write(
    `${what}: ${error instanceof BizonError ? error.code : 'not a BizonError'} ${messageOf(error)}\n`,
  )
await sqliteDestination({ path, seams: { thread } }).check(never).catch(say('check'))
const destination = sqliteDestination({ path, seams: { thread } })
await destination.open(runOf('run', 'full_refresh', 1), never).catch(say('open'))
await destination.close()
await thread.stop()
