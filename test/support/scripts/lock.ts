// argv: path, holder. Locks the file, says so, and keeps it until a line on stdin tells to release it.

import { once } from 'node:events'
import { lockFile } from '../../../connectors/lock.ts'
import { BizonError } from '../../../lib/errors.ts'

const [path = '', holder = ''] = process.argv.slice(2)
try {
  const lock = await lockFile(path, holder)
  process.stdout.write('held\n')
  await once(process.stdin, 'data')
  await lock.release()
  process.stdout.write('released\n')
} catch (error) {
  process.stdout.write(`refused: ${error instanceof BizonError ? error.code : error}\n`)
}
process.stdin.destroy()
