// --max-memory: what the kernel says that the process took at most is below it, and what would need more is an error.

import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FaultServer } from '../support/fault-server.ts'
import { CHECKOUT, type Finished, runIn } from '../support/sandbox.ts'
import { freshDatabase } from '../support/services/postgres.ts'

const MIB = 2 ** 20
const [BIZON, EXTRACT, LOAD] = ['bizon', 'bizon-extract', 'bizon-load'].map(
  (name) => `node ${join(CHECKOUT, 'dist/bin', `${name}.js`)}`,
) as [string, string, string]

let folder: string
let rows = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-memory-'))
  const file = await open(join(folder, 'mixed.ndjson'), 'w')
  const small = Array.from({ length: 10_000 }, (_, n) => `{"n":${n},"text":"${'x'.repeat(200)}"}\n`).join('')
  const large = `{"n":-1,"text":"${'y'.repeat(1.5 * MIB)}"}\n`
  for (let i = 0; i < 10; i++) {
    await file.write(small)
    await file.write(large)
    rows += 10_001
  }
  await file.close()
  await writeFile(join(folder, 'large.ndjson'), `{"n":1}\n{"n":2,"text":"${'y'.repeat(2 * MIB)}"}\n`)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function pipeline(name: string, destination: object, path = 'mixed.ndjson'): Promise<string> {
  const source = { name: 'file', stream: name, sync_mode: 'full_refresh', path }
  const engine = { backend: { type: 'sqlite', config: { database: `${name}-state`, schema: '' } } }
  await writeFile(join(folder, `${name}.yml`), JSON.stringify({ name, source, destination, engine }))
  return `${name}.yml`
}

const peakOf = async (report: string): Promise<number> =>
  JSON.parse(await readFile(join(folder, report), 'utf8')).peak_memory.process / MIB

const finished = ({ code, stderr }: Finished): void =>
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })

const file = (format = 'json') => ({ name: 'file', config: { format, destination_id: 'out/{stream}' } })

describe('the process takes no more than', () => {
  test.each([
    ['json', 150, () => file('json')],
    ['csv', 150, () => file('csv')],
    ['parquet', 200, () => file('parquet')],
    ['sqlite', 150, () => ({ name: 'sqlite', config: { path: 'out.db', destination_id: 'out' } })],
    [
      'postgres',
      150,
      async () => ({ name: 'postgres', config: { url: (await freshDatabase()).url, destination_id: 'out' } }),
    ],
  ] as const)('%s: %iM', async (name, most, destination) => {
    const filename = await pipeline(name, await destination())
    finished(await runIn(folder, `${BIZON} run ${filename} --quiet --max-memory ${most}M --report ${name}.json`))
    expect(await peakOf(`${name}.json`)).toBeLessThanOrEqual(most)
    expect(JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8')).streams[0].written.rows).toBe(rows)
  })

  test('150M on either side of the pipe', async () => {
    const filename = await pipeline('piped', file())
    const limited = '--quiet --max-memory 150M --report'
    finished(await runIn(folder, `${EXTRACT} ${filename} ${limited} e.json | ${LOAD} ${filename} ${limited} l.json`))
    expect(await peakOf('e.json')).toBeLessThanOrEqual(150)
    expect(await peakOf('l.json')).toBeLessThanOrEqual(150)
  })

  test('without the option records may be as large as sources take, and it is more', async () => {
    const large = `{"text":"${'y'.repeat(14 * MIB)}"}\n`
    await writeFile(join(folder, 'free.ndjson'), Array(4).fill(large))
    const sqlite = { name: 'sqlite', config: { path: 'free.db', destination_id: 'out' } }
    const filename = await pipeline('free', sqlite, 'free.ndjson')
    finished(await runIn(folder, `${BIZON} run ${filename} --quiet --report free.json`))
    expect(await peakOf('free.json')).toBeGreaterThan(150)
  })
})

describe('a record that there is no room for', () => {
  test('is named, with what it needs; nothing is published', async () => {
    const filename = await pipeline('large', file(), 'large.ndjson')
    const { code, stderr } = await runIn(folder, `${BIZON} run ${filename} --quiet --max-memory 150M`)
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /large\.ndjson:2: the record is larger than 1.5M, the most that --max-memory 150M has room for/,
    )
    expect(stderr).toMatch(/Give it 620M/)
    finished(await runIn(folder, `${BIZON} run ${filename} --quiet --max-memory 620M`))
  })

  test('is not passed over as one that is not valid', async () => {
    const filename = await pipeline('skip', file(), 'large.ndjson')
    const text = JSON.parse(await readFile(join(folder, filename), 'utf8'))
    text.source.on_invalid = 'skip'
    await writeFile(join(folder, filename), JSON.stringify(text))
    const { code, stderr } = await runIn(folder, `${BIZON} run ${filename} --quiet --max-memory 150M`)
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('--max-memory') })
  })

  test('nor is an answer over HTTP', async () => {
    const api = await FaultServer.start()
    try {
      api.on('/items', { json: [{ n: 1, text: 'y'.repeat(14 * MIB) }] })
      const source = {
        name: 'rest',
        stream: 'items',
        sync_mode: 'full_refresh',
        base_url: api.url,
        endpoints: { items: { path: 'items', id: 'n' } },
      }
      const engine = { backend: { type: 'sqlite_in_memory', config: {} } }
      await writeFile(join(folder, 'rest.yml'), JSON.stringify({ name: 'rest', source, destination: file(), engine }))
      const { code, stderr } = await runIn(folder, `${BIZON} run rest.yml --quiet --max-memory 150M`)
      expect({ code, stderr }).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/larger than 12 MiB.*or raise --max-memory/s),
      })
    } finally {
      await api.close()
    }
  })

  test('of the pipe is refused too', async () => {
    const filename = await pipeline('pipe', file(), 'large.ndjson')
    const { code, stderr } = await runIn(folder, `cat large.ndjson | ${LOAD} ${filename} --quiet --max-memory 150M`)
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('a line of the pipe is larger') })
  })
})

test.each(['150', '100M', 'many', '1.5G'])('--max-memory %s is refused', async (size) => {
  const filename = await pipeline('size', file())
  const { code, stderr } = await runIn(folder, `${BIZON} run ${filename} --max-memory ${size}`)
  expect(code).toBe(2)
  expect(stderr).toContain('expected a size from 128M, such as 150M or 2G')
})
