// The two halves of a pipeline as Airbyte connectors: what they answer, and reading and loading by a catalog.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLog } from '../../../../lib/log.ts'
import { check, discover, spec } from '../../../../lib/pipe/airbyte/connector.ts'
import { loadingOf, readCatalog, readConnectorConfig, readStates } from '../../../../lib/pipe/airbyte/files.ts'
import { type ReadStreamsOptions, readStreams } from '../../../../lib/pipe/airbyte/source.ts'
import { complaintsOfMessages } from '../../../support/airbyte.ts'
import { hear, record, sent, state, status } from '../../../support/airbyte-talk.ts'
import { linesOf } from '../../../support/pipe.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-connector-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function fileOf(name: string, content: unknown): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}
const source = () => ({ name: 'x', source: { name: 'file', stream: 'a', path: join(folder, '*.ndjson') } })
const destination = () => ({
  name: 'x',
  destination: { name: 'file', config: { destination_id: join(folder, 'out', '{stream}') } },
})
const stream = (name: string, keys: object = {}) => ({
  stream: { name, json_schema: {}, supported_sync_modes: ['full_refresh'] },
  sync_mode: 'full_refresh',
  destination_sync_mode: 'append',
  ...keys,
})
const catalogOf = async (...streams: object[]) => readCatalog(await fileOf('catalog.json', { streams }))
const options = { log: silentLog, signal: new AbortController().signal }

describe('spec', () => {
  test.each(['source', 'destination'] as const)('of a %s takes what the loader takes', async (part) => {
    const text = await spec(part)
    expect(complaintsOfMessages(linesOf(text))).toEqual([])
    const { connectionSpecification } = JSON.parse(text).spec
    const fits = new Ajv({ strict: false, validateFormats: false }).compile(connectionSpecification)
    expect(fits({ pipeline: 'pipeline.yml' })).toBe(true)
    expect(fits(part === 'source' ? source() : destination())).toBe(true)
    for (const wrong of [{}, { pipeline: 1 }, { name: 'x' }, part === 'source' ? destination() : source()]) {
      expect(fits(wrong), JSON.stringify(wrong)).toBe(false)
    }
  })

  test('marks secrets', async () => {
    const marked = [
      ...(await spec('source')).matchAll(
        /"(\w+)":\{"description":"[^"]*"[^{}]*(?:\{[^{}]*\}[^{}]*)*"airbyte_secret":true/g,
      ),
    ]
    const keys = marked.map(([, key]) => key)
    expect(keys).toEqual(expect.arrayContaining(['password', 'token', 'client_secret', 'refresh_token']))
    expect(keys.filter((key) => key === 'password').length).toBeGreaterThan(1)
  })
})

describe('check', () => {
  test('of what can be reached has SUCCEEDED', async () => {
    await fileOf('1.ndjson', '{}\n')
    const answers = [
      await check('source', async () => source(), options),
      await check('destination', async () => destination(), options),
    ]
    expect(answers.flatMap((text) => complaintsOfMessages(linesOf(text)))).toEqual([])
    for (const answer of answers) expect(JSON.parse(answer).connectionStatus).toEqual({ status: 'SUCCEEDED' })
  })

  test.each<[string, () => Promise<string>, string]>([
    ['no pipeline', () => fileOf('config.json', '{'), 'is not JSON'],
    ['no object', () => fileOf('config.json', '[]'), 'is no JSON object'],
    ['both forms', () => fileOf('config.json', { pipeline: 'x.yml', name: 'x' }), 'stand alone'],
    ['a file that is not there', () => fileOf('config.json', { pipeline: 'nowhere.yml' }), 'no such file'],
    ['a wrong key', () => fileOf('config.json', { ...source(), sources: 1 }), 'sources'],
    ['nothing to read', () => fileOf('config.json', source()), 'no file matches'],
  ])('of %s has FAILED and says why', async (_what, config, why) => {
    const answer = await check('source', async () => readConnectorConfig(await config()), options)
    expect(complaintsOfMessages(linesOf(answer))).toEqual([])
    const { status: said, message } = JSON.parse(answer).connectionStatus
    expect(said).toBe('FAILED')
    expect(message).toContain(why)
  })

  test('without its file is a wrong command, and no answer', async () => {
    const config = () => readConnectorConfig(join(folder, 'none.json'))
    await expect(check('source', config, options)).rejects.toMatchObject({ code: 'usage' })
  })
})

test('discover prints the streams that the source declares', async () => {
  const declared = await discover({ name: 'x', source: { name: 'dummy', stream: 'creatures' } })
  expect(complaintsOfMessages(linesOf(declared))).toEqual([])
  expect(JSON.parse(declared).catalog.streams.map(({ name }: { name: string }) => name)).toContain('creatures')
  const any = JSON.parse(await discover(source())).catalog.streams
  expect(any).toMatchObject([{ name: 'a', supported_sync_modes: ['full_refresh', 'incremental'] }])
})

describe('read', () => {
  async function read(config: object, given: ReadStreamsOptions, ...streams: object[]) {
    const chunks: Buffer[] = []
    const out = { write: async (bytes: Uint8Array): Promise<void> => void chunks.push(Buffer.from(bytes)) }
    const failure = await readStreams({ ...config }, await catalogOf(...streams), out, given).then(
      () => undefined,
      (error: Error) => error,
    )
    const text = Buffer.concat(chunks).toString()
    expect(complaintsOfMessages(linesOf(text))).toEqual([])
    return { text, failure, kinds: linesOf(text).map(kindOf) }
  }
  function kindOf(text: string): string {
    const { type, trace, state: given } = JSON.parse(text)
    return given
      ? `STATE ${given.stream.stream_descriptor.name}`
      : (trace?.stream_status?.status ?? trace?.type ?? type)
  }

  test('writes one stream after the other, and goes on after one that fails', async () => {
    const config = { name: 'x', source: { name: 'dummy', stream: 'creatures' } }
    const { failure, kinds } = await read(config, {}, stream('nowhere'), stream('creatures'))
    expect(failure?.message).toMatch(/^stream nowhere: /)
    expect(kinds[0]).toBe('ERROR')
    expect(kinds.slice(1, 4)).toEqual(['STARTED', 'RUNNING', 'RECORD'])
    expect(kinds.slice(-2)).toEqual(['STATE creatures', 'COMPLETE'])
  })

  test.each(['as they were printed', 'as a platform keeps them'])('goes on behind states %s', async (form) => {
    await fileOf('1.ndjson', '{"n":1.10}\n')
    const wanted = stream('a', { sync_mode: 'incremental' })
    const first = await read(source(), {}, wanted)
    const said = linesOf(first.text).filter((text) => text.includes('"STATE"'))
    const kept = form.includes('printed')
      ? said.join('\n')
      : `[${said.map((text) => JSON.stringify(JSON.parse(text).state))}]`
    await fileOf('2.ndjson', '{"n":2}\n')
    const second = await read(source(), { states: await readStates(await fileOf('state', kept)) }, wanted)
    expect(second.text).toContain('"data":{"n":2}')
    expect(second.text).not.toContain('1.10')
    expect((await read(source(), {}, wanted)).text).toContain('1.10')
  })

  test('does not look at states of others', async () => {
    for (const text of [
      '',
      '[]',
      `[${JSON.stringify({ type: 'GLOBAL', global: { stream_states: [] } })}]`,
      state('a', 1),
    ]) {
      expect(await readStates(await fileOf('state', text))).toEqual(new Map())
    }
    await expect(readStates(await fileOf('state', '{'))).rejects.toMatchObject({ code: 'usage' })
  })
})

describe('write', () => {
  const done = (name: string) => [status(name, 'STARTED'), status(name, 'COMPLETE')]

  test('loads the streams of the catalog, and needs the end of each', async () => {
    const catalog = loadingOf(await catalogOf(stream('a'), stream('b')))
    const talk = [
      record('a', '{"x":-0}'),
      record('c', '{}'),
      state('a', 1, sent(1)),
      state('c', 1, sent(1)),
      ...done('a'),
    ]
    const cut = await hear(folder, talk, { from: 'airbyte', catalog })
    expect(cut.error).toMatchObject({ code: 'incomplete', message: expect.stringContaining('of stream b') })
    const { error, rows, words } = await hear(folder, [...talk, ...done('b')], { from: 'airbyte', catalog })
    expect(error).toBeUndefined()
    expect(rows).toEqual(['a 1 {"x":-0}'])
    expect(words).toEqual(['warn: stream c is not in the catalog and is passed over, from line 2'])
  })

  test('that is to replace hands back states only at its end, since it starts over after a failure', async () => {
    const catalog = loadingOf(await catalogOf(stream('a', { destination_sync_mode: 'overwrite' })))
    const talk = [record('a', '{}'), state('a', 1), record('a', '{"y":1}'), state('a', 2)]
    const cut = await hear(folder, [...talk, status('a', 'INCOMPLETE')], { from: 'airbyte', catalog })
    expect([cut.said, cut.on.published]).toEqual([[], []])
    const whole = await hear(folder, [...talk, ...done('a')], { from: 'airbyte', catalog })
    expect(whole.said).toHaveLength(2)
    expect(whole.rows).toHaveLength(2)
  })

  test('takes what ours says of a record, whoever carried it', async () => {
    const catalog = loadingOf(await catalogOf(stream('a')))
    const { rows } = await hear(folder, [record('a', '{}', ',"bizon":{"n":9,"id":"key"}')], {
      from: 'airbyte',
      catalog,
    })
    expect(rows).toEqual(['a key {}'])
  })

  test.each<[string, object[], boolean | string]>([
    ['overwrite', [{ destination_sync_mode: 'overwrite' }], true],
    ['append', [{}], false],
    ['a new generation', [{ generation_id: 4, minimum_generation_id: 4 }], true],
    [
      'the same generation',
      [{ destination_sync_mode: 'overwrite', generation_id: 4, minimum_generation_id: 0 }],
      false,
    ],
    ['generations between', [{ generation_id: 4, minimum_generation_id: 3 }], 'cannot be done'],
    ['append_dedup', [{ destination_sync_mode: 'append_dedup' }], 'append_dedup cannot be done'],
    ['both', [{}, { destination_sync_mode: 'overwrite' }], 'one run does either'],
  ])('%s', async (_what, keys, outcome) => {
    const catalog = await catalogOf(...keys.map((each, at) => stream(`s${at}`, each)))
    if (typeof outcome === 'string') expect(() => loadingOf(catalog)).toThrow(outcome)
    else expect(loadingOf(catalog).replaces).toBe(outcome)
  })

  test('refuses a catalog that is none', async () => {
    await mkdir(join(folder, 'x'))
    await expect(catalogOf({ stream: {} })).rejects.toMatchObject({ code: 'usage' })
    await expect(readCatalog(join(folder, 'x'))).rejects.toMatchObject({ code: 'usage' })
  })
})
