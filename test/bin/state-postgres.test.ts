// The commands that look at a state, and change it, with a state in PostgreSQL; and a server that asks for a password.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { BIZON, Workspace } from '../crash/workspace.ts'
import { backendOf } from '../support/postgres-store.ts'
import { PYTHON_TABLES_IN_POSTGRES } from '../support/python-state.ts'
import { PostgresServer, psql } from '../support/services/postgres.ts'

let server: PostgresServer
let place: Workspace
let backend: string
beforeAll(async () => {
  server = await PostgresServer.create()
  await psql(server.url(), 'CREATE SCHEMA bizon')
  await psql(server.url(), `CREATE ROLE loader LOGIN PASSWORD 'hush-hush' SUPERUSER`)
  backend = backendOf(server.url(), 'bizon')
  place = await Workspace.create()
  await pipeline(backend)
})
afterAll(async () => {
  await place.remove()
  await server.remove()
})

async function pipeline(block: string, name = 'shop'): Promise<void> {
  await place.write({
    'pipeline.yml': `name: ${name}
source: { name: dummy, stream: generator, records: 300, sync_mode: incremental }
destination: { name: file, config: { destination_id: ${name}, metadata: none } }
engine:
  ${block}
`,
  })
}

/** What it says, and how it ends. */
async function bizon(...args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await place.execute([process.execPath, BIZON, ...args], {
    STATE_PASSWORD: 'hush-hush',
  })
  return { code, stdout, stderr }
}

async function said(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await bizon(...args)
  expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: expect.any(String) })
  return stdout
}

const FILE = 'pipeline.yml'

test('a run, and what is said and changed of it afterwards', async () => {
  await said('run', FILE, '--quiet')
  const shown = await said('state', 'show', FILE)
  expect(shown).toMatch(new RegExp(`State +127\\.0\\.0\\.1:${server.port}/postgres, schema bizon\n`))
  expect(shown).toMatch(/Status +succeeded\n/)
  const [first = ''] = (await said('state', 'log', FILE, '--runs', '--json')).split('\n')
  const { id } = JSON.parse(first) as { id: string }
  expect(await said('state', 'log', FILE)).toContain('300')

  const exported = await said('state', 'export', FILE)
  expect(JSON.parse(exported).bizon).toMatchObject({ run: id, end: true })
  await said('run', FILE, '--quiet')
  expect(await said('state', 'rewind', FILE, '--to-job', id)).toContain(`fetches again what came after run ${id}`)
  expect(await said('state', 'show', FILE)).toContain(`Rewound to  ${id}`)

  expect(await said('stream', 'reset', FILE)).toContain('fetches everything again and replaces what was loaded')
  expect(await said('stream', 'reset', FILE)).toContain('is pending already')
  expect(await said('stream', 'reset', FILE, '--cancel')).toContain('Withdrew 1 pending reset')

  expect(await said('state', 'clear', FILE, '--all', '--yes')).toContain('Forgotten: all published runs')
  expect(JSON.parse(await said('state', 'show', FILE, '--json')).published).toBeNull()

  await psql(server.url(), 'DROP SCHEMA bizon CASCADE; CREATE SCHEMA bizon')
  await place.write({ 'state.json': exported })
  expect(await said('state', 'import', FILE, 'state.json')).toContain(`stands behind the end of run ${id}`)
  expect(JSON.parse(await said('state', 'show', FILE, '--json')).published).toMatchObject({ id })
})

test('it is said that the tables are where the Python program has put them', async () => {
  await psql(server.url(), 'CREATE DATABASE python')
  await psql(server.url('python'), `CREATE SCHEMA bizon; ${PYTHON_TABLES_IN_POSTGRES}`)
  await pipeline(backendOf(server.url('python'), 'bizon'), 'python')
  expect(await said('state', 'show', FILE)).toContain('schema public, where the Python program has put it')
  const { code, stderr } = await bizon('run', FILE)
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringMatching(/the state is in .*\/python, schema public, where .*; schema bizon has none/),
  })
})

test('a password that is wrong is refused with 1 and not shown; one that is right is not shown either', async () => {
  await server.requirePasswords()
  const loader = backend.replace('username: postgres', 'username: loader')
  await pipeline(`${loader}\n      password: open-sesame`)
  for (const command of [
    ['run', FILE, '--log-level', 'TRACE'],
    ['check', FILE],
    ['state', 'show', FILE],
    ['stream', 'reset', FILE],
  ]) {
    const { code, stdout, stderr } = await bizon(...command)
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('user loader was refused: wrong password, or none'),
    })
    expect(stdout + stderr).not.toContain('open-sesame')
  }
  await pipeline(`${loader}\n      password: env://STATE_PASSWORD\n      echoEngine: true`, 'hushed')
  const { code, stdout, stderr } = await bizon('run', FILE, '--log-level', 'TRACE')
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('INSERT INTO stream_jobs') })
  expect(stdout + stderr).not.toContain('hush-hush')
})
