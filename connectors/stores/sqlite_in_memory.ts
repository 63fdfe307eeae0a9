// The SQLite store without a file: state lives as long as the store, so that every run starts anew. For tests and
// for sources that are loaded whole each time.

import { BizonError } from '../../lib/errors.ts'
import type { StoreDefinition } from '../../lib/state.ts'
import type { FileLock } from '../lock.ts'
import { labelOf } from './rows.ts'
import { SqliteView, sqliteStore } from './sqlite.ts'

const definition: StoreDefinition = {
  summary: 'Jobs and checkpoints in memory, gone when the run ends. Interrupted runs start over.',
  create({ echo }, { log } = {}) {
    const locks = new MemoryLocks()
    return sqliteStore({
      path: ':memory:',
      place: 'memory',
      onStatement: echo && log ? (sql) => log.info(sql) : undefined,
      lock: async (identity, holder) => locks.take(labelOf(identity), holder),
    })
  },
  look: () => new SqliteView(':memory:', 'memory'),
}
export default definition

/** Nobody else sees the database, so that only one's own second run has to be kept out. */
class MemoryLocks {
  readonly #holders = new Map<string, string>()

  take(what: string, holder: string): FileLock {
    const other = this.#holders.get(what)
    if (other !== undefined) throw new BizonError('locked', `${what} is locked by ${other}`, { retriable: true })
    this.#holders.set(what, holder)
    let held = true
    return {
      release: async () => {
        if (held) this.#holders.delete(what)
        held = false
      },
    }
  }
}
