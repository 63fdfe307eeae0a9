// The commands as an Airbyte platform runs them: messages alone on standard output, and the exit codes that it expects.

import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { complaintsOfMessages } from '../support/airbyte.ts'
import { linesOf } from '../support/pipe.ts'
import { Sandbox } from '../support/sandbox.ts'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await Sandbox.create()
  await writeFile(sandbox.path('broken.json'), '{"pipeline": "nowhere.yml"}')
  await writeFile(sandbox.path('nothing.yml'), 'name: x\nsource: {name: file, stream: s, path: nothing.ndjson}\n')
  await writeFile(sandbox.path('nothing.json'), '{"pipeline": "nothing.yml"}')
})
afterAll(() => sandbox.remove())

const program = (name: string) => `${name}() { '${process.execPath}' dist/bin/${name}.js "$@"; }`
const run = (script: string) => sandbox.run(`${program('bizon-extract')}\n${program('bizon-load')}\n${script}`)
const SOURCE = '--config examples/airbyte/source.json'
const DESTINATION = '--config examples/airbyte/destination.json'
const CATALOG = '--catalog examples/airbyte/catalog.json'

describe('standard output has messages alone', () => {
  test.each<[string, number, RegExp]>([
    ['bizon-extract spec', 0, /"SPEC"/],
    ['bizon-load spec', 0, /"SPEC"/],
    [`bizon-extract check ${SOURCE}`, 0, /"SUCCEEDED"/],
    [`bizon-load check ${DESTINATION}`, 0, /"SUCCEEDED"/],
    ['bizon-extract check --config broken.json', 0, /"FAILED".*no such file/],
    ['bizon-load check --config broken.json', 0, /"FAILED".*no such file/],
    ['bizon-extract check --config nothing.json', 0, /"FAILED".*nothing.ndjson does not exist/],
    ['bizon-extract check --config none.json', 2, /"ERROR".*config_error/],
    [`bizon-extract discover ${SOURCE}`, 0, /"CATALOG"/],
    [`bizon-extract read ${SOURCE} ${CATALOG}`, 0, /"COMPLETE"/],
    [`bizon-extract read --config nothing.json ${CATALOG}`, 1, /"ERROR".*nothing.ndjson does not exist/],
    [`bizon-extract read ${SOURCE} --catalog none.json`, 2, /"ERROR"/],
    [`bizon-load write ${DESTINATION} ${CATALOG} < examples/airbyte/messages.jsonl`, 0, /"destinationStats"/],
    [`head -n 3 examples/airbyte/messages.jsonl | bizon-load write ${DESTINATION} ${CATALOG}`, 1, /"ERROR".*COMPLETE/],
    ['bizon-extract examples/weather.yml --format airbyte', 0, /"COMPLETE"/],
    ['bizon-extract nothing.yml --format airbyte', 1, /"ERROR".*nothing.ndjson does not exist/],
  ])('%s: %i', async (command, code, said) => {
    const finished = await run(command)
    expect(finished.code, finished.stderr).toBe(code)
    expect(finished.stdout).toMatch(said)
    expect(complaintsOfMessages(linesOf(finished.stdout))).toEqual([])
    if (code !== 0) expect(finished.stderr).toContain('Error: ')
  })
})

test('both ends as connectors give every row, and the states go back in', async () => {
  const first = `bizon-extract read ${SOURCE} ${CATALOG} | bizon-load write ${DESTINATION} ${CATALOG} > states.jsonl`
  expect(await run(first)).toMatchObject({ code: 0 })
  const { stdout } = await run('wc -l < output/airbyte/weather.json; wc -l < states.jsonl')
  expect(stdout.split(/\s+/)).toEqual(['1461', '1', ''])
  expect(await run(`bizon-extract read ${SOURCE} ${CATALOG} --state states.jsonl`)).toMatchObject({ code: 0 })
})

test('an option behind the name of a command is that command’s', async () => {
  const { stderr } = await run('bizon-extract spec --quiet')
  expect(stderr).toContain("unknown option '--quiet'")
})
