// Servers that all tests of a run share: the first process that asks starts one, and the set-up of the whole run ends every
// server that was started within it (see set-up.ts), also after tests have failed.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { endProcesses, LIMIT_MS, STEP_MS } from './process.ts'

/** Where the processes of one test run meet; set by set-up.ts. */
export const FOLDER_VARIABLE = 'BIZON_TEST_SERVICES'

/** An empty folder for a server, which the set-up removes should a test not come to that. */
export async function serverFolder(kind: string): Promise<string> {
  const folder = await mkdtemp(join(process.env.BIZON_TEST_DISK ?? tmpdir(), `bizon-${kind}-`))
  const services = process.env[FOLDER_VARIABLE]
  if (services !== undefined) await writeFile(join(services, `${basename(folder)}${NOTE}`), folder)
  return folder
}

/** The address that `start` gave: called by the first of all processes that ask, and by none else. */
export async function sharedAddress<Address>(kind: string, start: () => Promise<Address>): Promise<Address> {
  const services = process.env[FOLDER_VARIABLE]
  if (services === undefined) throw new Error(`${FOLDER_VARIABLE} is not set: run with --config test/vitest.config.ts`)
  const said = join(services, `${kind}.json`)
  const isFirst = await mkdir(join(services, `${kind}.lock`)).then(
    () => true,
    () => false,
  )
  if (isFirst) {
    const started = await start().then(
      (address): Said<Address> => ({ address }),
      (error: unknown): Said<Address> => ({ error: String(error) }),
    )
    await writeFile(said, JSON.stringify(started))
  }
  for (const deadline = performance.now() + 4 * LIMIT_MS; performance.now() < deadline; await sleep(STEP_MS)) {
    const text = await readFile(said, 'utf8').catch(() => '')
    if (!text.endsWith('}')) continue
    const { address, error } = JSON.parse(text) as Said<Address>
    if (address !== undefined) return address
    throw new Error(error)
  }
  throw new Error(`the shared server of ${kind} did not come`)
}

interface Said<Address> {
  readonly address?: Address
  readonly error?: string
}

const NOTE = '.folder'

/** Ends every server that was started by this run of the tests and still runs. */
export async function endServers(services: string): Promise<void> {
  const notes = (await readdir(services)).filter((name) => name.endsWith(NOTE))
  await Promise.all(
    notes.map(async (note) => {
      const folder = await readFile(join(services, note), 'utf8')
      await endProcesses(folder)
      await rm(folder, { recursive: true, force: true })
    }),
  )
}
