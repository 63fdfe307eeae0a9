// What a run would find in the file and do: recovered on a connection that only reads, or where there is no file on an empty
// database in memory.

import { existsSync } from 'node:fs'
import type { DestinationPlan, Run } from '../../../lib/destination.ts'
import { lockHolder } from '../../lock.ts'
import { orphanedTables } from '../child-tables.ts'
import { shortest } from '../file/paths.ts'
import { addsOf, type Note, publishedBy, repairsOf } from '../plan.ts'
import { checkReach } from './check.ts'
import { foldName, STATE_TABLE } from './names.ts'
import { recover, type Site } from './recover.ts'
import { lockPath } from './session.ts'
import { findTable } from './tables.ts'

export async function planTables(site: Site, run: Run): Promise<DestinationPlan> {
  const { session, row, target, options } = site
  const { path } = session
  await checkReach(path)
  const heldBy = existsSync(path) ? await lockHolder(lockPath(path, target), 'destination') : undefined
  // Its tables are on their way from one state to another.
  if (heldBy !== undefined) return { durable: run.stored, heldBy, changes: [] }
  const shown = (table: string): string => `${shortest(path)}: ${table}`
  const notes: Note[] = []
  return session.look(async () => {
    await row.checkFile()
    const state = await recover(site, run)
    const changes = await publishedBy(
      run,
      { ...state, written: Object.keys(state.tables) },
      {
        ...{ target, adds: addsOf(options), onEmpty: options.on_empty, shown },
        orphansOf: (staged, published) => {
          const columnsOf = (table: string): string[] => Object.keys(state.kinds?.[table] ?? {})
          return orphanedTables(options, { staged, published, columnsOf, fold: foldName })
        },
        find: async (table) => ((await findTable(session, table)) ? {} : undefined),
      },
    )
    const durable = state.checkpoint ?? (run.mode === 'stream' ? run.stored : undefined)
    return { durable, changes: [...repairsOf(notes, { hidden: STATE_TABLE, shown }), ...changes] }
  }, notes)
}
