// Every example is run by the commands in its own header, in a throw-away copy, and gives what it says.

import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { parse as parseCsv } from 'csv-parse/sync'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { duckdb } from './support/duckdb.ts'
import { CHECKOUT, type Finished, QUICK_NPX, Sandbox } from './support/sandbox.ts'
import { sharedKafka } from './support/services/kafka.ts'
import { freshDatabase } from './support/services/postgres.ts'

const examples = (await readdir(`${CHECKOUT}/examples`, { withFileTypes: true }))
  .filter((entry) => entry.isFile())
  .map((entry) => entry.name)

/** The indented lines of the comment at the top. */
function commandsOf(name: string): string[] {
  const lines = readFileSync(`${CHECKOUT}/examples/${name}`, 'utf8').split('\n')
  const header = lines.slice(
    0,
    lines.findIndex((line) => !/^(#|\/\/)/.test(line)),
  )
  return header.flatMap((line) => /^(?:#|\/\/) {3}(\S.*)$/.exec(line)?.[1] ?? [])
}

describe('an example', () => {
  const finished = new Map<string, Finished>()
  let sandbox: Sandbox

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    await sandbox.run('git init --quiet && git add --all')
    const servers = `export KAFKA_BROKERS=${(await sharedKafka()).plain} DATABASE_URL=${(await freshDatabase()).url}`
    for (const name of examples) {
      finished.set(name, await sandbox.run([servers, QUICK_NPX, ...commandsOf(name)].join('\n')))
    }
  })
  afterAll(() => sandbox.remove())

  const output = (name: string): Promise<string> => readFile(sandbox.path(`output/${name}`), 'utf8')
  const linesOf = (text: string): string[] => text.trimEnd().split('\n')
  const example = (name: string): Promise<string> => readFile(`${CHECKOUT}/examples/${name}`, 'utf8')

  test.each(examples)('%s runs by the commands in its header', (name) => {
    expect(commandsOf(name).join('\n')).toContain(`examples/${name}`)
    expect(finished.get(name)).toMatchObject({ code: 0 })
  })

  test('kafka-to-postgres.yml gives every message that to-kafka.yml made of the file', async () => {
    const types = linesOf(await example('data/events.ndjson')).map((line) => JSON.parse(line).type as string)
    const counted = [...new Set(types)].sort().map((type) => `${type}|${types.filter((one) => one === type).length}`)
    expect(linesOf(finished.get('kafka-to-postgres.yml')?.stdout ?? '').slice(-counted.length)).toEqual(counted)
    expect(finished.get('to-kafka.yml')?.stdout).toContain('Loaded 0 records')
  })

  test('queued.yml gives through a broker what weather.yml gives without', async () => {
    expect(await output('queued.json')).toBe(await output('weather.json'))
  })

  test('weather.yml gives every row of the CSV, each cell as the text it was', async () => {
    const rows: unknown = parseCsv(await example('data/seattle-weather.csv'), { columns: true })
    const records = linesOf(await output('weather.json')).map((line) => JSON.parse(line))
    expect(records).toHaveLength(1461)
    expect(records).toEqual(rows)
  })

  test('parquet.yml gives every row of the CSV, with its types', async () => {
    const rows = parseCsv(await example('data/seattle-weather.csv'), { columns: true }) as Record<string, string>[]
    const found = await duckdb(
      `SELECT date::VARCHAR AS date, precipitation::VARCHAR AS precipitation, typeof(temp_max) AS type, temp_max::VARCHAR AS temp_max, weather FROM read_parquet('${sandbox.path('output/seattle/current/*.parquet')}')`,
    )
    expect(found).toEqual(
      rows.map(({ date, precipitation, temp_max, weather }) => ({
        date,
        precipitation,
        type: 'DECIMAL(5,1)',
        temp_max,
        weather,
      })),
    )
  })

  test('events.yml wraps each record as it came, with its id and time', async () => {
    const rows = linesOf(await output('events.json')).map((line) => JSON.parse(line))
    expect(Object.keys(rows[0])).toEqual([
      'bizon_id',
      'bizon_extracted_at',
      'bizon_loaded_at',
      'source_record_id',
      'source_timestamp',
      'source_data',
    ])
    expect(rows.map((row) => row.source_data)).toEqual(linesOf(await example('data/events.ndjson')))
    expect(rows[0]).toMatchObject({
      source_record_id: '9007199254740993',
      source_timestamp: '2026-03-01T09:00:00.000001+00:00',
    })
  })

  test('stdin.yml gives the bytes that came through the pipe', async () => {
    expect(await output('stdin.json')).toBe(await example('data/events.ndjson'))
  })

  test('dummy.yml logs its five creatures', () => {
    const { stderr } = finished.get('dummy.yml') as Finished
    for (const creature of ['bizon', 'croco', 'froggy', 'turtle', 'poulpo']) {
      expect(stderr).toContain(creature)
    }
  })

  test('incremental.yml loads what was added, once', async () => {
    expect(await output('incremental.json')).toBe(
      `${await example('data/events.ndjson')}{"id":7,"type":"order.created"}\n{"id":8,"type":"order.paid"}\n`,
    )
  })

  test('transform.yml drops, changes and adds, and leaves numbers as they were', async () => {
    const rows = linesOf(await output('transformed.json'))
    expect(rows).toHaveLength(7)
    expect(rows[0]).toBe(
      '{"id":9007199254740993,"type":"order.created","at":"2026-03-01T09:00:00.000001Z","customer":"Z.","total":1.10}',
    )
    expect(rows.filter((row) => row.includes('receipt.due'))).toHaveLength(2)
    expect(rows.join()).not.toContain('cancelled')
    expect(finished.get('transform.yml')?.stdout).toContain(
      'Records are JSON text, which is parsed for steps 2, 3 and 4',
    )
  })

  test('pokeapi.yml gives all berries, page after page, from its cassette', async () => {
    const berries = linesOf(await output('berries.json')).map((line) => JSON.parse(line))
    expect(berries).toHaveLength(64)
    expect(berries.at(-1)).toEqual({ name: 'rowap', url: 'https://pokeapi.co/api/v2/berry/64/' })
  })

  test('gbif.yml gives five sightings, and no more than it asks for', async () => {
    const birds = linesOf(await output('birds.json')).map((line) => JSON.parse(line))
    expect(birds.map(({ scientificName }) => scientificName)).toHaveLength(5)
    expect(birds.every(({ countryCode }) => countryCode === 'CH')).toBe(true)
  })

  test('rest.yml loads the orders that are new or have changed, and none of them twice', async () => {
    const lines = linesOf(await output('orders.json'))
    expect(lines.map((line) => JSON.parse(line).id)).toEqual(['o1', 'o2', 'o3', 'o4', 'o5', 'o2'])
    expect(lines[0]).toBe('{"id":"o1","customer":"c1","total":19.90,"updated_at":"2024-03-01T09:00:00Z"}')
    expect(linesOf(finished.get('rest.yml')?.stdout ?? '')[0]).toBe(lines[0])
  })

  test('sqlite.yml gives each day once, with the types of its columns', async () => {
    const rows = parseCsv(await example('data/seattle-weather.csv'), { columns: true }) as { weather: string }[]
    const printed = linesOf(finished.get('sqlite.yml')?.stdout ?? '').map((line) => line.split('|'))
    const counts = printed.filter((cells) => cells.length === 3)
    expect(counts).toHaveLength(5)
    for (const [weather, count] of counts) {
      expect(Number(count)).toBe(rows.filter((row) => row.weather === weather).length)
    }
    const { stdout } = await sandbox.run(
      'sqlite3 output/weather.sqlite3 "SELECT quote(date), quote(precipitation), quote(temp_max) FROM weather LIMIT 1"',
    )
    expect(stdout).toBe("'2012-01-01'|'0.0'|12.8\n")
  })

  test('tables.yml gives the things that were ordered, each with its order', () => {
    expect(linesOf(finished.get('tables.yml')?.stdout ?? '').filter((line) => /^\d+\|/.test(line))).toEqual([
      '1|Ada|tea|6.2',
      '1|Ada|cup|12.5',
      '2|Zoë|tea|3.1',
    ])
  })

  test('sqlite-source.yml gives exact numbers, and the order that has changed once more', async () => {
    expect(linesOf(await output('shop-orders.json'))).toEqual([
      '{"id":1,"customer":"Ada","total":19.9,"paid_cents":1990,"updated_at":"2026-03-01T09:00:00.000001Z"}',
      '{"id":2,"customer":"Grace","total":250.0,"paid_cents":null,"updated_at":"2026-03-01T09:05:00Z"}',
      '{"id":3,"customer":"Zoë","total":0.1,"paid_cents":9007199254740993,"updated_at":"2026-03-02T11:30:00Z"}',
      '{"id":2,"customer":"Grace","total":250.0,"paid_cents":25000,"updated_at":"2026-03-03T08:00:00Z"}',
    ])
  })

  test('script.mjs loads the rainy days', async () => {
    const rainy = linesOf(await example('data/seattle-weather.csv')).filter((line) => line.endsWith(',rain'))
    expect(linesOf(await output('rainy-days.json'))).toHaveLength(rainy.length)
    expect(finished.get('script.mjs')?.stdout).toContain(`${rainy.length} rainy days are in output/rainy-days.json`)
  })

  test('leaves nothing in a checkout that git would see', async () => {
    const { stdout } = await sandbox.run('git status --porcelain --untracked-files=all')
    expect(stdout.split('\n').filter((line) => line.startsWith('??'))).toEqual([])
  })
})
