// argv: path, rounds. Takes and releases the lock that often, against others who do the same. Inside it creates a
// file that must not exist yet, which fails if two are inside.

import { closeSync, openSync, unlinkSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { lockFile } from '../../../connectors/lock.ts'
import { BizonError } from '../../../lib/errors.ts'

const [path = '', rounds = ''] = process.argv.slice(2)
const inside = `${path}.inside`
for (let round = 0; round < Number(rounds); ) {
  try {
    const lock = await lockFile(path, `pid ${process.pid}`)
    closeSync(openSync(inside, 'wx'))
    await setImmediate()
    unlinkSync(inside)
    await lock.release()
    round++
  } catch (error) {
    if (!(error instanceof BizonError) || error.code !== 'locked') throw error
    await setImmediate()
  }
}
process.stdout.write('done\n')
