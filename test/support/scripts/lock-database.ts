// argv: path of a SQLite database. Begins to write to it, says so, and never ends.

import { setInterval } from 'node:timers'
import { loadSqlite } from '../../../connectors/sqlite.ts'

const [path = ''] = process.argv.slice(2)
const database = (await loadSqlite('internal')).open(path, { busyTimeoutMs: 5000 })
database.exec('BEGIN EXCLUSIVE')
process.stdout.write('locked\n')
setInterval(() => database.inTransaction, 1000)
