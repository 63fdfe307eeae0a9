import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { realDisk } from '../../../connectors/destinations/file/disk.ts'
import definition, { type FileOptions } from '../../../connectors/destinations/file.ts'
import { RawJson, type SourceRecord } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import { shortWrites } from '../../support/disk.ts'
import { newPlace, type Place, removePlace } from '../../support/file-destination.ts'
import { load, runOf } from '../../support/load.ts'

let place: Place
let runs = 0
beforeEach(async () => {
  place = await newPlace()
})
afterEach(() => removePlace(place))

const raw = (id: string, text: string): SourceRecord => ({ id, data: RawJson.from(text) })
const page = (records: readonly SourceRecord[]): Page => ({ records, next: null })

async function published(pages: readonly Page[], options: Partial<FileOptions>, disk = realDisk): Promise<string> {
  runs += 1
  await load(place.create('full_refresh', options, disk), runOf(`run ${runs}`, 'full_refresh', runs), pages)
  return (await place.read('main.json')) ?? 'no file'
}

describe('metadata: bizon', () => {
  const options = { metadata: 'bizon' } as const

  test('six columns in the order of the Python program, the record as a string', async () => {
    const extractedAt = new Date('2024-12-05T12:00:00.000Z')
    const destination = place.create('full_refresh', options)
    const run = runOf('run', 'full_refresh', 1)
    const signal = new AbortController().signal
    await destination.open(run, signal)
    const records = [
      raw('1', '{"a": "é\\n\\"", "n":1.10, "big":12345678901234567890}'),
      { ...raw('id "2"\n😀', '{}'), timestamp: '2024-12-05T14:00:00.123456789+02:00' },
      { id: '3', data: { b: [1, null] }, timestamp: new Date('2024-12-05T12:00:00.120Z') },
    ]
    await destination.write({ records, next: null, extractedAt }, signal)
    await destination.flush({ run: 'run', page: 1, rows: 3, position: null, end: true })
    await destination.publish()
    await destination.close()
    const text = (await place.read('main.json')) as string
    const loadedAt = /"bizon_loaded_at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?\+00:00)"/.exec(text)?.[1]
    const prefix = /"bizon_id":"([0-9a-f]{16})0{16}"/.exec(text)?.[1]
    const head = (row: number) =>
      `{"bizon_id":"${prefix}000000000000000${row}","bizon_extracted_at":"2024-12-05T12:00:00+00:00","bizon_loaded_at":"${loadedAt}"`
    expect(text.split('\n')).toEqual([
      `${head(0)},"source_record_id":"1","source_timestamp":"2024-12-05T12:00:00+00:00","source_data":"{\\"a\\": \\"é\\\\n\\\\\\"\\", \\"n\\":1.10, \\"big\\":12345678901234567890}"}`,
      `${head(1)},"source_record_id":"id \\"2\\"\\n😀","source_timestamp":"2024-12-05T12:00:00.123456+00:00","source_data":"{}"}`,
      `${head(2)},"source_record_id":"3","source_timestamp":"2024-12-05T12:00:00.120000+00:00","source_data":"{\\"b\\":[1,null]}"}`,
      '',
    ])
  })

  test('a row has the same bizon_id when it is written again after a crash, and another in another run', async () => {
    const pages: Page[] = Array.from({ length: 40 }, (_, at) => ({
      records: [raw(`${at}`, '{}')],
      next: at < 39 ? { at } : null,
    }))
    const ids = async (run: string, epoch: number, stops: readonly number[]): Promise<string[]> => {
      for (const stop of stops) {
        const part = place.create('full_refresh', options)
        await load(part, runOf(run, 'full_refresh', epoch), pages.slice(0, stop), { publish: false })
      }
      await load(place.create('full_refresh', options), runOf(run, 'full_refresh', epoch), pages)
      const text = (await place.read('main.json')) as string
      return text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line).bizon_id)
    }
    const whole = await ids('one', 1, [])
    expect(new Set(whole).size).toBe(40)
    expect(whole[31]).toMatch(/^[0-9a-f]{16}000000000000001f$/)
    const other = await ids('two', 2, [3, 17, 31])
    expect(other.some((id) => whole.includes(id))).toBe(false)
    expect(await ids('one', 3, [3, 17, 31])).toEqual(whole)
  })

  test.each([
    ['2024-02-29T23:59:59Z', '2024-02-29T23:59:59+00:00'],
    ['2024-01-01 00:00:00.5+00:00', '2024-01-01T00:00:00.500000+00:00'],
    ['2024-01-01t00:00:00.0000009z', '2024-01-01T00:00:00+00:00'],
    ['2023-12-31T23:30:00.000001-00:45', '2024-01-01T00:15:00.000001+00:00'],
  ])('the source time %s is written as %s', async (timestamp, expected) => {
    const text = await published([page([{ ...raw('1', '{}'), timestamp }])], options)
    expect(JSON.parse(text).source_timestamp).toBe(expected)
  })

  test.each(['2024-02-30T00:00:00Z', '2024-01-01', '2024-01-01T00:00:00', 'yesterday', '2024-13-01T00:00:00Z'])(
    'the source time %s is an error that names the record',
    async (timestamp) => {
      const failing = published([page([{ ...raw('r7', '{}'), timestamp }])], options)
      await expect(failing).rejects.toMatchObject({
        code: 'invalid_record',
        message: `record "r7": its timestamp is "${timestamp}"`,
      })
    },
  )
})

describe('metadata: none', () => {
  test('records are written byte for byte, whatever they look like', async () => {
    const texts = ['{"a":1.10}', ' {"b" : -0} ', '{"c":"\\u00e9\\n"}', '{"d":12345678901234567890}', '{"e":1,"e":2}']
    const lines = Buffer.from(texts.join('\n'))
    let at = 0
    const records = texts.map((text, id) => {
      const start = at
      at += Buffer.byteLength(text) + 1
      return { id: `${id}`, data: new RawJson(lines, start, at - 1) }
    })
    expect(await published([page(records)], {})).toBe(`${texts.join('\n')}\n`)
    expect(await published([page(records.toReversed())], {})).toBe(`${texts.toReversed().join('\n')}\n`)
    expect(await published([page([1, 2, 4].map((at) => records[at] as SourceRecord))], {})).toBe(
      `${texts[1]}\n${texts[2]}\n${texts[4]}\n`,
    )
  })

  test('a line break inside a record becomes a space, since it would end the line', async () => {
    expect(await published([page([raw('1', '{\r\n  "a": "x\\n",\n\t"b": 2\r}'), raw('2', '{}')])], {})).toBe(
      '{    "a": "x\\n", \t"b": 2 }\n{}\n',
    )
  })

  test('objects are printed', async () => {
    expect(await published([page([{ id: '1', data: { a: 'é', b: [true] } }])], {})).toBe('{"a":"é","b":[true]}\n')
  })
})

test('whatever the records are and wherever they lie in their buffers, each is one line that says the same', async () => {
  const record = fc.record({
    text: fc
      .tuple(fc.json({ maxDepth: 3 }), fc.constantFrom('', '\n', '\r\n', ' '))
      .map(([json, pad]) => pad + json + pad),
    /** Where the record lies: behind the one before in the same buffer, behind a gap, or in a buffer of its own. */
    place: fc.constantFrom('behind', 'behind', 'behind', 'gap', 'own'),
    after: fc.constantFrom('\n', ','),
    id: fc.string({ unit: 'binary' }),
  })
  let epoch = 1
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 7, max: 3000 }),
      async (given, most) => {
        const buffers: Buffer[] = []
        let parts: string[] = []
        const starts = given.map(({ text, place, after }) => {
          if (place === 'own') {
            buffers.push(Buffer.from(parts.join('')))
            parts = []
          }
          if (place === 'gap') parts.push('  \n')
          const start = Buffer.byteLength(parts.join(''))
          parts.push(text, after)
          return { buffer: buffers.length, start, end: start + Buffer.byteLength(text) }
        })
        buffers.push(Buffer.from(parts.join('')))
        const records = given.map(({ id }, at) => {
          const { buffer, start, end } = starts[at] as (typeof starts)[number]
          return { id, data: new RawJson(buffers[buffer] as Buffer, start, end) }
        })
        const write = async (options: Partial<FileOptions>): Promise<string[]> => {
          const destination = place.create('full_refresh', options, shortWrites(realDisk, most))
          await load(destination, runOf(`run ${epoch}`, 'full_refresh', epoch++), [page(records)])
          return ((await place.read('main.json')) as string).split('\n').slice(0, -1)
        }
        expect(await write({})).toEqual(given.map(({ text }) => text.replace(/[\r\n]/g, ' ')))
        const rows = (await write({ metadata: 'bizon' })).map((line) => JSON.parse(line))
        expect(rows.map((row) => row.source_data)).toEqual(given.map(({ text }) => text))
        expect(rows.map((row) => row.source_record_id)).toEqual(given.map(({ id }) => Buffer.from(id).toString()))
      },
    ),
    { numRuns: 40 },
  )
})

test('a list of any length is a line for each of its items', async () => {
  const texts = Array.from({ length: 9000 }, (_, at) => `{"id":${at},"x":"${'y'.repeat(at % 400)}"}`)
  const buffer = Buffer.from(`[${texts.join(',')}]`)
  let start = 1
  const records = texts.map((text, at) => {
    const data = new RawJson(buffer, start, start + text.length)
    start = data.end + 1
    return { id: `${at}`, data }
  })
  expect((await published([page(records)], {})) === `${texts.join('\n')}\n`).toBe(true)
})

test.each([-2, -1, 0, 1])('records that end %i bytes from the end of the buffer arrive whole', async (more) => {
  const sized = (bytes: number): string => `{"x":"${'y'.repeat(bytes - 8)}"}`
  for (const sizes of [[(1 << 20) + more], [600_000, (1 << 20) - 600_001 + more], [600_000, (1 << 20) + more, 100]]) {
    const texts = sizes.map(sized)
    const records = texts.map((text, at) => raw(`${at}`, text))
    expect((await published([page(records)], {})) === `${texts.join('\n')}\n`).toBe(true)
  }
})

test('records larger than any buffer arrive whole', async () => {
  const large = (id: string, bytes: number): SourceRecord =>
    raw(id, `{"id":"${id}","x":"${'\\"\\\\x'.repeat(bytes / 5)}"}`)
  const records = [
    raw('a', '{"id":"a"}'),
    large('b', 5_000_000),
    raw('c', '{"id":"c"}'),
    large('d', 1 << 20),
    raw('e', '{}'),
  ]
  const texts = records.map(({ data }) => data.toString())
  const plain = await published([page(records)], {})
  expect(plain === `${texts.join('\n')}\n`).toBe(true)
  const rows = (await published([page(records)], { metadata: 'bizon' })).split('\n').slice(0, -1)
  expect(rows.map((row, at) => JSON.parse(row).source_data === texts[at])).toEqual(texts.map(() => true))
})

describe('unnest', () => {
  const columns = (...names: string[]) => names.map((name) => ({ name, type: 'string' }))
  const schemas = (destinationId: string, ...names: string[]) => ({
    unnest: true,
    metadata: 'bizon' as const,
    recordSchemas: [{ destinationId, columns: columns(...names) }],
  })

  test('columns in the order of the schema, values as they came, no other column', async () => {
    const options = schemas(place.path('main'), 'b', 'a "x"')
    const records = [raw('1', '{"a \\u0022x\\"": 1.10 , "b":[1,\n2]}'), { id: '2', data: { b: null, 'a "x"': 'é' } }]
    expect(await published([page(records)], options)).toBe(
      '{"b":[1, 2],"a \\"x\\"":1.10}\n{"b":null,"a \\"x\\"":"é"}\n',
    )
  })

  test('a record with other keys stops the page before a byte of it is written', async () => {
    const options = schemas(place.path('main'), 'a', 'b')
    const records = [raw('1', '{"a":1,"b":2}'), raw('2', '{"a":1,"c":2,"d":3}')]
    await expect(published([page(records)], options)).rejects.toMatchObject({
      code: 'invalid_record',
      message: expect.stringMatching(
        /^record "2" for .*main\.json: its keys are not those of record_schemas: missing "b"; not in the schema "c", "d"$/,
      ),
    })
    expect(await readdir(place.folder)).toEqual(['.main.state.json'])
  })

  test('a destination without schema is an error that names those with one', async () => {
    await expect(published([page([raw('1', '{}')])], schemas('elsewhere', 'a'))).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining('only for "elsewhere"'),
    })
  })

  test('each target has its own schema', async () => {
    const options = {
      ...schemas(place.path('main'), 'a'),
      recordSchemas: [
        { destinationId: place.path('main'), columns: columns('a') },
        { destinationId: place.path('other'), columns: columns('b') },
      ],
    }
    const other = { ...raw('2', '{"b":2}'), destinationId: place.path('other') }
    expect(await published([page([raw('1', '{"a":1}'), other, raw('3', '{"a":3}')])], options)).toBe(
      '{"a":1}\n{"a":3}\n',
    )
    expect(await place.read('other.json')).toBe('{"b":2}\n')
  })
})

test('{stream} in the destination id is the stream of each page', async () => {
  const pages = ['s1', 's2'].map((name, at) => ({
    records: [raw(name, `{"s":"${name}"}`)],
    next: at ? null : {},
    stream: { name },
  }))
  await load(
    place.create('full_refresh', { destinationId: join(place.folder, 'of', '{stream}') }),
    runOf('run', 'full_refresh', 1),
    pages,
  )
  expect(await place.read('of/s1.json')).toBe('{"s":"s1"}\n')
  expect(await place.read('of/s2.json')).toBe('{"s":"s2"}\n')
  expect(await readdir(place.path('of'))).toEqual(['.main.state.json', 's1.json', 's2.json'])
})

test('more targets than files may be open at once', async () => {
  const target = (at: number) => place.path(`t${at % 150}`)
  const pages = [0, 1].map((half) => ({
    records: Array.from({ length: 300 }, (_, at) => ({
      ...raw(`${at}`, `{"n":${300 * half + at}}`),
      destinationId: target(at),
    })),
    next: half ? null : {},
  }))
  await load(place.create('full_refresh'), runOf('run', 'full_refresh', 1), pages)
  for (const at of [0, 63, 64, 149]) {
    const expected = [at, at + 150, at + 300, at + 450].map((n) => `{"n":${n}}\n`).join('')
    expect(await place.read(`t${at}.json`)).toBe(expected)
  }
})

test('the options have defaults, and unknown ones are refused', () => {
  expect(definition.config.parse({})).toEqual({
    format: 'json',
    metadata: 'bizon',
    durability: 'power_loss',
    visibility: 'run',
    on_empty: 'publish',
  })
  for (const wrong of [
    { format: 'xml' },
    { metadata: 'all' },
    { durability: 'none' },
    { visibility: 'page' },
    { on_empty: 'drop' },
    { dir: 'x' },
  ]) {
    expect(definition.config.safeParse(wrong).success).toBe(false)
  }
})
