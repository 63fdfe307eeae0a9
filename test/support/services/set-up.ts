// Around a whole run of vitest: a folder in which its processes agree on the servers that they share, and the end of every
// server, also after tests have failed. A server is started by the first test that asks for one, so none here.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endServers, FOLDER_VARIABLE } from './shared.ts'

export default async function setUp(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'bizon-services-'))
  process.env[FOLDER_VARIABLE] = folder
  return async () => {
    await endServers(folder)
    await rm(folder, { recursive: true, force: true })
  }
}
