// Whether a run could write, without changing anything: what `bizon check` asks of the file.

import { accessSync, constants, existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { BizonError } from '../../../lib/errors.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { loadSqlite } from '../../sqlite.ts'
import { checkRows, type Site } from './recover.ts'
import { checkFolder } from './session.ts'
import { findTable, missingColumns } from './tables.ts'

/** Rejects, saying why not. */
export async function checkTarget(site: Site, mode: SyncMode, signal: AbortSignal): Promise<void> {
  const { session, row, target, fixedOf } = site
  const { path } = session
  await checkReach(path)
  if (!existsSync(path)) return
  signal.throwIfAborted()
  await session.look(async () => {
    await row.checkFile()
    const found = await findTable(session, target)
    if (found && mode !== 'full_refresh') checkRows(site.options, found, target)
    if (found) missingColumns(found, fixedOf(target), target, site.options.unnest === 'columns')
  })
}

/** Whether the file could be opened for writing, or made. */
export async function checkReach(path: string): Promise<void> {
  checkFolder(path)
  await loadSqlite('destination')
  checkWritable(dirname(path))
  if (existsSync(path)) checkWritable(path)
}

function checkWritable(path: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (error) {
    throw new BizonError('destination', `${path} may not be written to`, {
      hint: 'Give this user the right to write to the file and its folder.',
      cause: error,
    })
  }
}
