// bizon-extract as whoever runs Singer taps starts it: --config, --discover, --catalog, --state.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CHECKOUT, runIn } from '../support/sandbox.ts'

const TAP = `node ${join(CHECKOUT, 'dist/bin/bizon-extract.js')} --quiet`

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-tap-'))
  const source = { name: 'dummy', stream: 'creatures' }
  await writeFile(join(folder, 'p.yml'), JSON.stringify({ name: 'p', source }))
  await writeFile(join(folder, 'config.json'), '{"pipeline": "p.yml"}')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const run = (script: string) => runIn(folder, script)

/** The streams of the records, counted. */
const COUNTED = `jq -c 'select(.type == "RECORD") | .stream' | sort | uniq -c | tr -s ' '`

test('prints its streams as a catalog, and reads the one that is selected in it', async () => {
  const found = await run(
    `${TAP} --config config.json --discover > catalog.json; jq -c '.streams[] | [.tap_stream_id, .key_properties, .metadata[0].metadata["selected-by-default"]]' catalog.json`,
  )
  expect(found).toMatchObject({ code: 0, stderr: '' })
  expect(found.stdout).toContain('["creatures",')
  expect(found.stdout.match(/true\]/g)).toHaveLength(1)
  expect((await run(`${TAP} --config config.json --catalog catalog.json | ${COUNTED}`)).stdout).toBe(' 5 "creatures"\n')
  const other = `jq '.streams |= map(.metadata[0].metadata.selected = (.stream == "plants"))' catalog.json > plants.json`
  const { stdout } = await run(
    `${other}; for option in --catalog --properties; do ${TAP} --config config.json $option plants.json | ${COUNTED}; done`,
  )
  expect(stdout).toMatch(/^( \d+ "plants"\n)\1$/)
})

test('begins at the beginning without --state, whatever a state store holds, and goes on from --state', async () => {
  const load = `node ${join(CHECKOUT, 'dist/bin/bizon-load.js')} --quiet`
  await writeFile(
    join(folder, 'to.yml'),
    JSON.stringify({ name: 'p', destination: { name: 'file', config: { destination_id: 'out' } } }),
  )
  const first = await run(
    `${TAP} p.yml | head -n 5 | ${load} to.yml > said || true; ${TAP} --config config.json | sed -n 1p | jq .value.bizon.page; ${TAP} --config config.json --state said | sed -n 1p | jq .value.bizon.page`,
  )
  expect(first.stdout, first.stderr).toBe('0\n1\n')
})

const BOTH = '{"streams": [{"stream": "plants", "selected": true}, {"stream": "creatures", "selected": true}]}'

test('several streams are read one after the other, and each STATE says where all of them stand', async () => {
  await writeFile(join(folder, 'k.json'), BOTH)
  const source = { name: 'dummy', stream: 'creatures', sync_mode: 'full_refresh' }
  await writeFile(join(folder, 'p.yml'), JSON.stringify({ name: 'p', source }))
  const tap = `${TAP} --config config.json --catalog k.json`
  const whole = await run(`${tap} > lines && ${COUNTED.replace('jq', 'cat lines | jq')}`)
  expect(whole, whole.stderr).toMatchObject({ code: 0, stdout: ' 5 "creatures"\n 5 "plants"\n' })
  const states = await run(`jq -c 'select(.type == "STATE") | .value.bookmarks | map_values(.bizon.end)' lines`)
  expect(states.stdout.trim().split('\n').at(-1)).toBe('{"plants":true,"creatures":true}')
  expect(states.stdout).toContain('{"plants":true}\n')
})

test('several streams come into a loader as those of any tap', async () => {
  await writeFile(join(folder, 'k.json'), BOTH)
  const to = { name: 'p', destination: { name: 'file', config: { destination_id: 'out/{stream}', metadata: 'none' } } }
  await writeFile(join(folder, 'to.yml'), JSON.stringify(to))
  const load = `node ${join(CHECKOUT, 'dist/bin/bizon-load.js')} --quiet to.yml`
  const { stdout, stderr } = await run(
    `${TAP} --config config.json --catalog k.json | ${load} | jq -c '.bookmarks | keys'; wc -l < out/plants.json; wc -l < out/creatures.json`,
  )
  expect(stdout, stderr).toBe('["creatures","plants"]\n5\n5\n')
  const again = await run(
    `${TAP} --config config.json --catalog k.json | ${load} > said; ${TAP} --config config.json --catalog k.json --state said | ${load} > /dev/null; cat out/plants.json out/creatures.json | wc -l`,
  )
  expect(again.stdout, again.stderr).toBe('10\n')
})

test('streams that are read whole beside others are told to be added each time', async () => {
  await writeFile(join(folder, 'a.ndjson'), '{"n":1}\n')
  const source = { name: 'file', stream: 'a', path: 'a.ndjson' }
  await writeFile(join(folder, 'p.yml'), JSON.stringify({ name: 'p', source }))
  const one = (stream: string, method: string) => ({ stream, selected: true, replication_method: method })
  const streams = [one('a', 'FULL_TABLE'), one('b', 'INCREMENTAL')]
  await writeFile(join(folder, 'k.json'), JSON.stringify({ streams }))
  const { code, stdout, stderr } = await run(`${TAP} --config config.json --catalog k.json`)
  expect(code).toBe(0)
  expect(stdout).not.toContain('version')
  expect(stderr).toContain('a: read whole beside streams that are not, so that a target adds all of it each time')
})

test.each([
  ['--format ndjson', 'and --format ndjson is for one', 'Select one, or leave out --format.'],
  ['--ack acks', 'and --ack is for one', 'Select one, or leave out --ack.'],
  ['--state one', '--state: one says nothing of streams by their names', 'To read several for the first time'],
])('several streams with %s are refused', async (option, said, remedy) => {
  await writeFile(join(folder, 'k.json'), BOTH)
  await run(`${TAP} --config config.json > lines; jq -c 'select(.type == "STATE") | .value' lines | tail -n 1 > one`)
  const { code, stdout, stderr } = await run(`${TAP} --config config.json --catalog k.json ${option}`)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(said)
  expect(stderr).toContain(`Try: `)
  expect(stderr).toContain(remedy)
})

test.each([
  ['none is selected', '{"streams": [{"tap_stream_id": "a", "metadata": []}]}', 'no stream of k.json is selected'],
  ['it is no catalog', '[]', 'k.json: there is no list at streams'],
  ['it is no JSON', '{', 'k.json: '],
  [
    'it asks for what there is not',
    '{"streams": [{"stream": "creatures", "selected": true, "replication_method": "LOG_BASED"}]}',
    'k.json: replication-method LOG_BASED of creatures is not known',
  ],
])('a catalog is refused when %s', async (_why, catalog, said) => {
  await writeFile(join(folder, 'k.json'), catalog)
  const { code, stdout, stderr } = await run(`${TAP} --config config.json --catalog k.json`)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(`Error: --catalog: ${said}`)
  expect(stderr).toContain('Try: ')
})

test.each([
  ['', 'no pipeline is named'],
  ['p.yml --config config.json', '--config and FILENAME both say which pipeline'],
  ['--config gone.json', '--config: gone.json: no such file'],
])('bizon-extract %s is wrong usage', async (args, said) => {
  expect(await run(`${TAP} ${args}`)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(said) })
})
