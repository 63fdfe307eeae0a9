// The file destination with `destination_id: "-"`: records on standard output, and nothing else there.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CHECKOUT, runIn } from '../support/sandbox.ts'

const program = (name: string): string => `node ${join(CHECKOUT, 'dist/bin', `${name}.js`)}`
const [RUN, EXTRACT, LOAD] = [`${program('bizon')} run`, program('bizon-extract'), program('bizon-load')]
const ROWS = 500

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-stdout-'))
  await write('plain.yml', { metadata: 'none' })
  await write('columns.yml', {})
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const write = (name: string, keys: object): Promise<void> =>
  writeFile(
    join(folder, name),
    JSON.stringify({
      name: 'out',
      source: { name: 'dummy', stream: 'generator', records: ROWS, page_size: 50, sync_mode: 'full_refresh' },
      destination: { name: 'file', config: { destination_id: '-', buffer_size: 0, ...keys } },
      engine: { backend: { type: 'sqlite', config: { database: 'state', schema: '', syncCursorInDBEvery: 1 } } },
    }),
  )
const run = (script: string) => runIn(folder, script)

test.each([
  ['a run', `${RUN} plain.yml`],
  ['both halves', `${EXTRACT} plain.yml | ${LOAD} plain.yml`],
])('%s prints the records as they came; all words for people are elsewhere', async (_how, script) => {
  const { code, stdout, stderr } = await run(script)
  const bare = await run(`${EXTRACT} plain.yml --format ndjson --quiet`)
  expect(code).toBe(0)
  expect(stdout === bare.stdout).toBe(true)
  expect(stdout.split('\n')).toHaveLength(ROWS + 1)
  expect(stderr).toContain('Output: standard output')
})

test('bare records go through a loader with its transforms, byte for byte without', async () => {
  const lines = '{"n": 1.10, "big": 12345678901234567890}\n{"n":-0}\n'
  await writeFile(join(folder, 'in'), lines)
  expect(await run(`${LOAD} plain.yml --quiet < in`)).toEqual({ code: 0, stdout: lines, stderr: '' })
  await writeFile(
    join(folder, 'more.yml'),
    JSON.stringify({
      name: 'more',
      destination: { name: 'file', config: { destination_id: '-', metadata: 'none' } },
      transforms: [{ label: 'less', javascript: 'return data.n > 0 ? data : null' }],
    }),
  )
  expect((await run(`${LOAD} more.yml --quiet < in`)).stdout).toBe('{"n":1.10,"big":12345678901234567890}\n')
})

test('columns of record_schemas, and no state of a tap between the rows', async () => {
  const columns = [{ name: 'id', type: 'integer' }]
  await write('unnest.yml', { unnest: true, record_schemas: [{ destination_id: '-', record_schema: columns }] })
  const tap = [
    { type: 'SCHEMA', stream: 'a', schema: { type: 'object', properties: {} }, key_properties: [] },
    { type: 'RECORD', stream: 'a', record: { id: 7 } },
    { type: 'STATE', value: { after: 7 } },
  ]
  await writeFile(join(folder, 'tap'), tap.map((line) => `${JSON.stringify(line)}\n`).join(''))
  expect(await run(`${LOAD} unnest.yml --quiet < tap`)).toEqual({ code: 0, stdout: '{"id":7}\n', stderr: '' })
})

test('a reader that goes away ends it without a word', async () => {
  const { stdout } = await run(`(set +e; ${RUN} plain.yml --quiet | head -n 1 > first; echo "\${PIPESTATUS[0]}")`)
  expect(['0\n', '141\n']).toContain(stdout) // what fits into the pipe is written before it is closed
  const { stdout: code, stderr } = await run(`(set +e; ${RUN} plain.yml --quiet | true; echo "\${PIPESTATUS[0]}")`)
  expect({ code, stderr }).toEqual({ code: '141\n', stderr: '' })
})

test('a full disk fails', async () => {
  const { code, stderr } = await run(`${RUN} plain.yml --quiet > /dev/full`)
  expect(code).toBe(1)
  expect(stderr).toContain('Error: cannot write to standard output')
})

test('killed and run again, no row is missing, and those of one page may come twice with the same bizon_id', async () => {
  const { code } = await run(
    `BIZON_FAILPOINT=cursor.before@4:kill ${RUN} columns.yml --quiet > first || true; ${RUN} columns.yml --quiet > second`,
  )
  expect(code).toBe(0)
  const { stdout } = await run(
    `cat first second | jq -r .bizon_id | sort | uniq -c | awk '{print $1}' | sort | uniq -c | awk '{print $2 ":" $1}'`,
  )
  expect(stdout).toBe(`1:${ROWS - 50}\n2:50\n`)
})
