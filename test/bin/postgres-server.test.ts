// What becomes of a run when something is wrong with the server that it loads into: it is gone in the middle, its disk is
// full, it wants another password. The run says so and exits with 1, and once that is put right the next one goes on.

import { type ChildProcess, spawn } from 'node:child_process'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { canTrace } from '../crash/strace.ts'
import { type Execution, isStopped, until, Workspace } from '../crash/workspace.ts'
import { PostgresServer, psql } from '../support/services/postgres.ts'

const PASSWORD = 'hunter2-tweet'
const ROWS = 60

let server: PostgresServer
let place: Workspace
beforeAll(async () => {
  server = await PostgresServer.create()
  await psql(server.url(), `CREATE ROLE loader LOGIN SUPERUSER PASSWORD '${PASSWORD}'`)
})
afterAll(() => server.remove())
beforeEach(async () => {
  place = await Workspace.create({ 'pipeline.yml': pipelineFile('full_refresh'), 'source.ndjson': rows(ROWS) })
})
afterEach(() => place.remove())

const rows = (count: number): string =>
  Array.from({ length: count }, (_, n) => `{"n":${n},"pad":"${'x'.repeat(400)}"}\n`).join('')

const pipelineFile = (mode: string): string =>
  JSON.stringify({
    name: 'server',
    source: { name: 'file', stream: 'rows', path: 'source.ndjson', page_bytes: 4096, sync_mode: mode },
    destination: {
      name: 'postgres',
      config: { url: 'env://PG_URL', destination_id: mode, buffer_size: 0, reconnect_timeout: 1 },
    },
    engine: { backend: { type: 'sqlite', config: { database: 'state', schema: '', syncCursorInDBEvery: 1 } } },
  })

const run = (execution: Execution = {}, url = server.url('postgres', 'loader')) =>
  place.bizon({ ...execution, env: { PG_URL: url } })

const found = (table: string): Promise<string> =>
  psql(server.url(), `SELECT count(*), count(DISTINCT source_data->>'n') FROM ${table}`)

test('that is gone in the middle: the run says so, and the next one goes on', async () => {
  const { code, stderr } = await run({
    failpoint: 'commit.before@3:stop',
    async during(child) {
      await until('it sleeps', () => isStopped(child), child)
      await server.kill()
      child.kill('SIGCONT')
    },
  })
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(
      new RegExp(
        `^Error: the connection to the server of public\\.full_refresh was lost: PostgreSQL at 127\\.0\\.0\\.1:${server.port} .+\nTry: Run again once it is back: .+\n$`,
        'm',
      ),
    ),
  })
  await server.start()
  expect(await psql(server.url(), "SELECT to_regclass('full_refresh') IS NULL")).toBe('t\n')
  expect(await run()).toMatchObject({ code: 0 })
  expect(await found('full_refresh')).toBe(`${ROWS}|${ROWS}\n`)
})

/** Attached to the server and all that it starts: whatever would make this file larger or change it fails. */
async function fillDisk(path: string): Promise<ChildProcess> {
  const inject = ['-e', 'trace=pwrite64,pwritev', '-e', 'inject=pwrite64,pwritev:error=ENOSPC']
  const strace = spawn('strace', ['-f', '-P', path, '-o', '/dev/null', ...inject, '-p', String(server.pid)])
  let said = ''
  strace.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  await until('strace is attached', async () => said.includes('attached'), strace)
  return strace
}

test('whose disk is full: the run says so, and the next one goes on', async () => {
  if (!(await canTrace())) return
  await place.write({ 'pipeline.yml': pipelineFile('incremental'), 'source.ndjson': rows(1) })
  expect(await run()).toMatchObject({ code: 0 })
  const file = (await psql(server.url(), "SELECT pg_relation_filepath('incremental')")).trim()
  const strace = await fillDisk(`${server.folder}/data/${file}`)
  try {
    await place.write({ 'source.ndjson': rows(ROWS) })
    const { code, stderr } = await run()
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /^Error: public\.incremental: PostgreSQL: could not extend file .*: No space left on device.*\nTry: The disk of the server is full: make room, then run again\.\n$/,
      ),
    })
  } finally {
    const gone = new Promise((resolve) => strace.once('exit', resolve))
    strace.kill('SIGINT')
    await gone
  }
  expect(await run()).toMatchObject({ code: 0 })
  expect(await found('incremental')).toBe(`${ROWS}|${ROWS}\n`)
})

/** The last: from here on the server asks everybody. */
test('that wants another password: it is never shown, however much is told', async () => {
  await server.requirePasswords()
  const url = (password: string): string => server.url('postgres', `loader:${password}`)
  for (const args of [[], ['--log-level', 'TRACE', '--log-format', 'json']]) {
    const { code, stdout, stderr } = await run({ args }, url('wrong-tweet'))
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('user loader was refused: wrong password'),
    })
    expect(stdout + stderr).not.toContain('wrong-tweet')
  }
  const { code, stdout, stderr } = await run({ args: ['--log-level', 'TRACE'] }, url(PASSWORD))
  expect({ code, stderr }).toMatchObject({ code: 0 })
  expect(stdout + stderr).not.toContain(PASSWORD)
})
