// Lines that are no records, of programs that are not ours: they end the load, are passed over, or are kept.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { extract } from '../../../lib/extract.ts'
import { load } from '../../../lib/load.ts'
import { FromPipe, type FromPipeOptions } from '../../../lib/pipe/from.ts'
import { extractTo } from '../../../lib/pipe/to.ts'
import { pipeline } from '../../../lib/pipeline.ts'
import { testConfig } from '../../support/engine.ts'
import { type Ledger, ledger, ledgerDestination } from '../../support/ledger.ts'
import { scriptedSource } from '../../support/shelf.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-invalid-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const configOf = (on: Ledger) =>
  testConfig({ folder, source: scriptedSource({ pages: [2] }), destination: ledgerDestination(on) })

async function loaded(on: Ledger, bytes: Uint8Array | string, options: FromPipeOptions = {}): Promise<string[]> {
  const warnings: string[] = []
  const warn = (message: string): void => void warnings.push(message)
  const config = await configOf(on)
  async function* chunks(): AsyncGenerator<Buffer> {
    yield Buffer.from(bytes)
  }
  const log = { trace() {}, debug() {}, info() {}, warn, error() {} }
  await pipeline(new FromPipe(chunks(), config, options), load(config), { log })
  return warnings
}

const textsOf = (on: Ledger): string[] => on.published.map(({ text }) => text)

const SCHEMA = '{"type":"SCHEMA","stream":"a","schema":{},"key_properties":["id"]}'
const LATIN1 = Buffer.from('{"name":"Zürich"}', 'latin1')
const NDJSON = Buffer.concat([
  Buffer.from('{"n":1}\n\nINFO starting up\n[1]\n{"n":2} {"n":3}\n'),
  LATIN1,
  Buffer.from('\n{"n":4}\n'),
])
const SINGER = `${SCHEMA}\nINFO\n{"type":"RECORD","stream":"a","record":{"id":1}}\n{"type":"RECORD","stream":"a","record":{}}\n{"type":"RECORD","stream":"a"}\n{"type":"RECORD","stream":"a","record":{"id":2}}\n`

describe('by default', () => {
  test.each<[string, string | Uint8Array, string]>([
    [
      'a log line',
      '{"n":1}\nINFO starting\tup\n',
      'line 2 of the pipe: it is not JSON, from byte 1 on: INFO starting·up',
    ],
    ['what follows', '{"n":1}\n\n{"n":2}x\n', 'line 3 of the pipe: more follows the object, from byte 8 on: {"n":2}x'],
    ['no object', '{"n":1}\n7\n', 'line 2 of the pipe: it is no JSON object: 7'],
    [
      'no UTF-8',
      Buffer.concat([Buffer.from('{"n":1}\n'), LATIN1, Buffer.from('\n')]),
      'line 2 of the pipe: it is not UTF-8',
    ],
    [
      'a long line',
      `{"n":1}\n${'é'.repeat(200)}\n`,
      `line 2 of the pipe: it is not JSON, from byte 1 on: ${'é'.repeat(50)}…`,
    ],
  ])('%s ends the load, and is named by its number and its start', async (_what, bytes, message) => {
    const on = ledger()
    const failed = await loaded(on, bytes).catch((error: Error) => error)
    expect(failed).toMatchObject({ code: 'invalid_record', hint: expect.stringContaining('--on-invalid skip') })
    expect((failed as Error).message).toContain(message)
    expect(on.published).toEqual([])
  })
})

describe('skip', () => {
  test('bare records: the others are loaded, and how many were not is told', async () => {
    const on = ledger()
    expect(await loaded(on, NDJSON, { onInvalid: 'skip' })).toEqual(['4 lines were not valid and skipped'])
    expect(textsOf(on)).toEqual(['{"n":1}', '{"n":4}'])
  })

  test('Singer messages: a record without its key too', async () => {
    const on = ledger()
    expect(await loaded(on, SINGER, { onInvalid: 'skip' })).toEqual(['3 lines were not valid and skipped'])
    expect(textsOf(on)).toEqual(['{"id":1}', '{"id":2}'])
  })

  test('bare records without the field of --id', async () => {
    const on = ledger()
    const lines = '{"id":"x"}\n{"id":null}\n{}\n{"id":9007199254740993}\n'
    expect(await loaded(on, lines, { onInvalid: 'skip', idField: 'id' })).toEqual([
      '2 lines were not valid and skipped',
    ])
    expect(on.published.map(({ id }) => id)).toEqual(['x', '9007199254740993'])
  })

  test.each([
    ['a SCHEMA without a schema', '{"type":"SCHEMA","stream":"a"}'],
    ['a RECORD of an unknown stream', '{"type":"RECORD","stream":"b","record":{}}'],
    ['a STATE without a value', '{"type":"STATE"}'],
    ['a damaged batch', '{"type":"BATCH","stream":"a"}'],
  ])('%s is an error all the same: without it the others mean nothing', async (_what, line) => {
    const on = ledger()
    await expect(loaded(on, `${SINGER}${line}\n`, { onInvalid: 'skip' })).rejects.toThrow('line 7 of the pipe')
    expect(on.published).toEqual([])
  })

  test.each([
    ['bare records', '{"n":1}\n{"n":'],
    ['Singer messages', `${SINGER}{"type":"RECORD","str`],
  ])('a pipe of %s that ends within a line was cut off', async (_what, bytes) => {
    const on = ledger()
    await expect(loaded(on, bytes, { onInvalid: 'skip' })).rejects.toMatchObject({ code: 'incomplete' })
    expect(on.published).toEqual([])
    await loaded(on, '{"n":1}\n{"n":2}', { onInvalid: 'skip' })
    expect(on.published).toHaveLength(2)
  })

  test('in a pipe of ours a broken line is always an error', async () => {
    const chunks: Buffer[] = []
    await extractTo(extract(await configOf(ledger())), { write: async (bytes) => void chunks.push(Buffer.from(bytes)) })
    const lines = Buffer.concat(chunks).toString().split('\n')
    lines.splice(3, 0, 'INFO')
    await expect(loaded(ledger(), lines.join('\n'), { onInvalid: 'skip' })).rejects.toThrow('line 4 of the pipe')
  })
})

describe('dead_letter', () => {
  test('keeps every line with its number and the reason, byte for byte', async () => {
    const on = ledger()
    const path = join(folder, 'bad.ndjson')
    const options = { onInvalid: 'dead_letter', deadLetter: path } as const
    expect(await loaded(on, NDJSON, options)).toEqual([`4 lines were not valid and written to ${path} instead`])
    const kept = (await readFile(path, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(kept.map(({ line, text }) => [line, text])).toEqual([
      [3, 'INFO starting up'],
      [4, '[1]'],
      [5, '{"n":2} {"n":3}'],
      [6, undefined],
    ])
    expect(Buffer.from(kept[3].base64, 'base64')).toEqual(LATIN1)
    expect(kept[0].error).toBe('line 3 of the pipe: it is not JSON, from byte 1 on: INFO starting up')
    expect(textsOf(on)).toEqual(['{"n":1}', '{"n":4}'])
  })

  test('names the file of a BATCH', async () => {
    const path = join(folder, 'bad.ndjson')
    const file = join(folder, 'batch.jsonl')
    await writeFile(file, '{"id":1}\nno\n')
    const batch = JSON.stringify({ type: 'BATCH', stream: 'a', encoding: { format: 'jsonl' }, manifest: [file] })
    await loaded(ledger(), `${SCHEMA}\n${batch}\n`, { onInvalid: 'dead_letter', deadLetter: path })
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ file, line: 2, text: 'no' })
  })

  test('that cannot be written ends the load: nothing is passed over without a trace', async () => {
    const on = ledger()
    const options = { onInvalid: 'dead_letter', deadLetter: join(folder, 'no', 'bad.ndjson') } as const
    await expect(loaded(on, NDJSON, options)).rejects.toThrow('cannot write dead letters')
    expect(on.published).toEqual([])
    await expect(loaded(on, NDJSON, { onInvalid: 'dead_letter' })).rejects.toMatchObject({ code: 'usage' })
  })
})
