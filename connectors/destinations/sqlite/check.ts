// Whether a run could write, without changing anything: what `bizon check` asks of the file.

import { accessSync, constants, existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { BizonError } from '../../../lib/errors.ts'
import { loadSqlite } from '../../sqlite.ts'
import type { Site } from './recover.ts'
import { checkFolder } from './session.ts'
import { findTable, missingColumns } from './tables.ts'

/** Rejects, saying why not. */
export async function checkTarget(site: Site, signal: AbortSignal): Promise<void> {
  const { session, row, target, columnsOf } = site
  const { path } = session
  await checkReach(path)
  if (!existsSync(path)) return
  signal.throwIfAborted()
  await session.look(async () => {
    await row.checkFile()
    const found = await findTable(session, target)
    if (found) missingColumns(found, columnsOf(target).all, target)
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
