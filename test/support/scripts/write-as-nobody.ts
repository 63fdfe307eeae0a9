// argv: path of a database file. Gives up the rights of root, if it has them, checks the sqlite destination and opens it; says
// each error's code and message.

import { BizonError, messageOf } from '../../../lib/errors.ts'
import { never, runOf } from '../load.ts'
import { sqliteDestination } from '../sqlite-destination.ts'

const [path = ''] = process.argv.slice(2)
// Loaded while the module may still be read.
await import('better-sqlite3')
if (process.getuid?.() === 0) process.setuid?.(65534)
const say = (what: string) => (error: unknown) =>
  void process.stdout.write(
    `${what}: ${error instanceof BizonError ? error.code : 'not a BizonError'} ${messageOf(error)}\n`,
  )
await sqliteDestination({ path }).check(never).catch(say('check'))
const destination = sqliteDestination({ path })
await destination.open(runOf('run', 'full_refresh', 1), never).catch(say('open'))
await destination.close()
