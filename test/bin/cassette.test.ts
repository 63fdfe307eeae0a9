import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FaultServer } from '../support/fault-server.ts'
import { Sandbox } from '../support/sandbox.ts'

let sandbox: Sandbox
let api: FaultServer
beforeAll(async () => {
  sandbox = await Sandbox.create()
  api = await FaultServer.start()
  api.on('/items', { status: 503 }, { json: { items: [{ id: 1, price: '1.10' }], next: '/items2' } })
  api.on('/items2', ({ headers }) =>
    headers.authorization === 'Bearer canary-4711' ? { json: { items: [{ id: 2 }], next: null } } : { status: 401 },
  )
  await writeFile(
    sandbox.path('shop.yml'),
    `name: shop
source:
  name: rest
  stream: items
  base_url: ${api.url}
  authentication:
    type: bearer
    params: {token: env://SHOP_TOKEN}
  endpoints:
    items:
      path: /items
      records: items
      id: id
      pagination: {type: next_link, next: next}
destination:
  name: file
  config: {destination_id: output/items, metadata: none}
engine:
  backend: {type: sqlite_in_memory}
`,
  )
})
afterAll(async () => {
  await sandbox.remove()
  await api.close()
})

const bizon = (line: string) => sandbox.run(`${line.replace('bizon ', 'node dist/bin/bizon.js ')}`)
const log = '--log-format pretty'

describe('a bug report', () => {
  test('is recorded, replayed by somebody without network and secrets, and holds none', async () => {
    const recorded = await bizon(`SHOP_TOKEN=canary-4711 bizon run shop.yml --record shop.cassette ${log}`)
    expect(recorded).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('recorded 3 HTTP requests to shop.casset'),
    })
    const rows = await readFile(sandbox.path('output/items.json'), 'utf8')
    expect(rows).toBe('{"id":1,"price":"1.10"}\n{"id":2}\n')
    expect(await readFile(sandbox.path('shop.cassette'), 'utf8')).not.toContain('canary')

    const asked = api.requests.length
    const replayed = await bizon(`rm output/items.json; bizon run shop.yml --replay shop.cassette ${log}`)
    expect(replayed).toMatchObject({ code: 0 })
    expect(replayed.stderr).toContain('not set, so that *** stands for it while replaying: env://SHOP_TOKEN')
    expect(replayed.stderr).toContain('replayed all 3 HTTP requests of shop.cassette')
    expect(await readFile(sandbox.path('output/items.json'), 'utf8')).toBe(rows)
    expect(api.requests).toHaveLength(asked)
  })

  test('that asks for something else says so, and publishes nothing', async () => {
    await sandbox.run("sed 's#path: /items#path: /things#' shop.yml > things.yml; rm -f output/items.json")
    const { code, stderr } = await bizon(`bizon run things.yml --replay shop.cassette ${log}`)
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /GET \S+\/things is not on the cassette shop\.cassette; nearest is line \d: GET \S+\/items2?\n/,
    )
    expect(stderr).toContain('Try: a cassette answers what was asked when it was recorded')
    await expect(readFile(sandbox.path('output/items.json'))).rejects.toThrow('ENOENT')
  })

  test('may be of a check', async () => {
    const checked = await bizon(`SHOP_TOKEN=canary-4711 bizon check shop.yml --record check.cassette ${log}`)
    expect(checked).toMatchObject({ code: 0 })
    const again = await bizon(`bizon check shop.yml --replay check.cassette ${log}`)
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('stream items: can be read') })
  })
})

describe('a command line that cannot work', () => {
  test.each([
    ['run shop.yml --record a --replay shop.cassette', "option '--record <path>' cannot be used with option '--replay"],
    ['run shop.yml --replay none.cassette', '--replay: none.cassette: no such file'],
    ['run shop.yml --record shop.cassette', 'the cassette shop.cassette is there already'],
    ['run shop.yml --replay shop.yml', 'shop.yml is not a cassette'],
    ['check shop.yml --record a --replay shop.cassette', "option '--record <path>' cannot be used with option '--rep"],
  ])('bizon %s', async (line, said) => {
    const { code, stderr } = await bizon(`SHOP_TOKEN=canary-4711 bizon ${line}`)
    expect(stderr).toContain(said)
    expect(code).toBe(2)
  })

  test('a source without HTTP is told', async () => {
    const { code, stderr } = await bizon(`bizon run examples/weather.yml --record weather.cassette ${log}`)
    expect(stderr).toContain('source file sent no HTTP request, so weather.cassette was not written')
    expect(code).toBe(0)
  })

  test('a reference that is not set is an error unless a cassette is replayed', async () => {
    const { code, stderr } = await bizon('bizon run shop.yml')
    expect(stderr).toContain('the environment variable SHOP_TOKEN is not set')
    expect(code).toBe(2)
  })
})
