// What any Airbyte source may say, in small conversations: whatever is cut, dropped, doubled or thrown in, nothing is
// published that is not whole, and a STATE comes back only when everything before it is durable.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Log, silentLog } from '../../../../lib/log.ts'
import { complaintsOfMessages } from '../../../support/airbyte.ts'
import {
  joined,
  type Kept,
  keeper,
  keepingDestination,
  linesOf,
  loaded,
  pipeConfig,
  textSource,
} from '../../../support/pipe.ts'

let folder: string
let states = 0
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-airbyte-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const configOf = (on: Kept, checkpointPages = 1) =>
  pipeConfig(join(folder, `state-${++states}`), textSource([]), keepingDestination(on), checkpointPages)

const record = (stream: string, data: string, rest = ''): string =>
  `{"type":"RECORD","record":{"stream":"${stream}"${rest},"emitted_at":1700000000000,"data":${data}}}`
const status = (name: string, word: string): string =>
  `{"type":"TRACE","trace":{"type":"STREAM_STATUS","emitted_at":1.7e12,"stream_status":{"stream_descriptor":{"name":"${name}"},"status":"${word}"}}}`
const state = (name: string, cursor: number, stats = ''): string =>
  `{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"${name}"},"stream_state":{"c":${cursor}}}${stats}}}`
const sent = (count: number): string => `,"sourceStats":{"recordCount":${count}.0}`
const error =
  '{"type":"TRACE","trace":{"type":"ERROR","emitted_at":1.7e12,"error":{"message":"quota exceeded","internal_message":"HTTP 429"}}}'

/** Two streams, interleaved, with statuses and counts. */
const TALK = [
  status('a', 'STARTED'),
  status('b', 'STARTED'),
  record('a', '{"x":1.10}'),
  record('b', '{"x":-0}'),
  record('a', '{"x":9007199254740993}'),
  state('a', 1, sent(2)),
  record('b', '{ "x" : "\\u00e9" }'),
  state('b', 1, sent(2)),
  status('a', 'COMPLETE'),
  status('b', 'COMPLETE'),
]
const ROWS = ['a 1 {"x":1.10}', 'a 3 {"x":9007199254740993}', 'b 2 {"x":-0}', 'b 4 { "x" : "\\u00e9" }']

async function heard(
  lines: readonly string[] | string,
  options: Parameters<typeof loaded>[2] = {},
  checkpointPages = 1,
) {
  const on = keeper()
  const words: string[] = []
  const say = (level: string) => (message: string) => void words.push(`${level}: ${message}`)
  const log: Log = { ...silentLog, debug: say('debug'), warn: say('warn'), error: say('error') }
  const text = typeof lines === 'string' ? lines : joined(lines)
  const result = await loaded(await configOf(on, checkpointPages), text, { log, ...options })
  return { ...result, on, words, rows: [...on.published].sort() }
}

describe('a source of several streams', () => {
  test('is told by itself, and each stream goes where it belongs, byte for byte, whatever the size of the chunks', async () => {
    for (const size of [1, 7, 64, 10_000]) {
      const { error, rows, said } = await heard(TALK, { size })
      expect(error).toBeUndefined()
      expect(rows).toEqual(ROWS)
      expect(said).toEqual([
        state('a', 1, `${sent(2)},"destinationStats":{"recordCount":2.0}`),
        state('b', 1, `${sent(2)},"destinationStats":{"recordCount":2.0}`),
      ])
      expect(complaintsOfMessages(said)).toEqual([])
    }
  })

  test('with a namespace goes by both names', async () => {
    expect((await heard([record('a', '{}', ',"namespace":"n"'), record('a', '{}')])).rows).toEqual([
      'a 2 {}',
      'n_a 1 {}',
    ])
  })

  test('of two namespaces that would have one name is refused', async () => {
    const talk = [record('b_c', '{}', ',"namespace":"a"'), record('c', '{}', ',"namespace":"a_b"')]
    expect((await heard(talk)).error?.message).toContain('both be called a_b_c')
  })

  test('hands back every STATE in order once it is durable, also where many share a checkpoint', async () => {
    const talk = [1, 2, 3].flatMap((n) => [record('a', `{"n":${n}}`), state('a', n), record('b', '{}'), state('b', n)])
    const { said } = await heard(talk, {}, 100)
    const short = said.map((line) => JSON.parse(line).state.stream)
    expect(short.map((one) => `${one.stream_descriptor.name}${one.stream_state.c}`)).toEqual([
      'a1',
      'b1',
      'a2',
      'b2',
      'a3',
      'b3',
    ])
  })

  test('hands back no STATE whose records could not be made durable', async () => {
    const on = keeper()
    const destination = keepingDestination(on)
    let flushes = 0
    const failing = await pipeConfig(join(folder, 'failing'), textSource([]), {
      ...destination,
      create: (options, context) => {
        const made = destination.create(options, context)
        const flush = made.flush.bind(made)
        made.flush = async (checkpoint) => {
          if (++flushes === 2) throw new Error('no space left')
          return flush(checkpoint)
        }
        return made
      },
    })
    const talk = [1, 2, 3].flatMap((n) => [record('a', `{"n":${n}}`), state('a', n)])
    const { said, error: failure } = await loaded(failing, joined(talk))
    expect(failure?.message).toContain('no space left')
    expect(said.map((line) => JSON.parse(line).state.stream.stream_state.c)).toEqual([1])
  })

  test('that fails is loaded up to there, and published no further', async () => {
    const talk = [record('a', '{}'), state('a', 1), record('a', '{"y":1}'), state('a', 2), 'x', error]
    const { said, error: failure, on } = await heard(talk, {}, 1)
    expect(failure?.message).toContain('quota exceeded')
    expect(on.published).toEqual([])
    expect(on.committed?.rows).toEqual(['a 1 {}', 'a 2 {"y":1}'])
    expect(said).toHaveLength(2)
  })
})

describe('states', () => {
  test.each([
    ['GLOBAL', '{"type":"GLOBAL","global":{"shared_state":{"lsn":9007199254740993},"stream_states":[]}}'],
    ['LEGACY by name', '{"type":"LEGACY","data":{"a":1.10}}'],
    ['without a type', '{"data":{"a":1}}'],
    ['empty', '{}'],
    ['of a stream that is reset', '{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"}}}'],
    [
      'with keys of tomorrow',
      '{"id":7,"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":null}}',
    ],
  ])('%s comes back as it was, with a count', async (_what, payload) => {
    const line = `{"type":"STATE","state":${payload}}`
    const { said, error: failure } = await heard([record('a', '{}'), line])
    expect(failure).toBeUndefined()
    const count = `${payload === '{}' ? '' : ','}"destinationStats":{"recordCount":1.0}`
    expect(said).toEqual([`{"type":"STATE","state":${payload.slice(0, -1)}${count}}}`])
  })

  test('with a count of another destination comes back with ours', async () => {
    const line = state('a', 1, ',"destinationStats":{"recordCount":7.0},"x":1')
    expect((await heard([record('a', '{}'), line])).said).toEqual([line.replace('7.0', '1.0')])
  })

  test('GLOBAL counts all streams, STREAM its own', async () => {
    const all = '{"type":"STATE","state":{"type":"GLOBAL","global":{"stream_states":[]}'
    const { said } = await heard([
      record('a', '{}'),
      record('b', '{}'),
      `${all}${sent(2)}}}`,
      record('b', '{}'),
      `${all}}}`,
    ])
    expect(said.map((one) => JSON.parse(one).state.destinationStats.recordCount)).toEqual([2, 1])
  })
})

describe('what is no record and no state', () => {
  test('goes to the log, or is passed over with one warning', async () => {
    const {
      error: failure,
      words,
      rows,
    } = await heard(
      [
        'Picked up JAVA_TOOL_OPTIONS',
        '{"level":"info","msg":"no type"}',
        '{"type":"LOG","log":{"level":"WARN","message":"slow"}}',
        '{"type":"LOG","log":{"level":"FATAL","message":"bad"}}',
        '{"type":"LOG","log":{"level":"DEBUG","message":"why"}}',
        '{"type":"CONTROL","control":{"type":"CONNECTOR_CONFIG","emitted_at":1,"connectorConfig":{"config":{}}}}',
        '{"type":"TRACE","trace":{"type":"ESTIMATE","emitted_at":1,"estimate":{"name":"a","type":"STREAM"}}}',
        '{"type":"NEWS"}',
        '{"type":"NEWS"}',
        record('a', '{}'),
      ],
      { from: 'airbyte' },
    )
    expect(failure).toBeUndefined()
    expect(rows).toEqual(['a 1 {}'])
    expect(words).toEqual([
      'warn: line 1 of the pipe is no message, and was dropped: Picked up JAVA_TOOL_OPTIONS',
      'warn: line 2 of the pipe is no message, and was dropped: {"level":"info","msg":"no type"}',
      'warn: slow',
      'error: bad',
      'debug: why',
      'warn: messages of type CONTROL are passed over; the first is line 6',
      'warn: messages of type TRACE ESTIMATE are passed over; the first is line 7',
      'warn: messages of type NEWS are passed over; the first is line 8',
    ])
  })

  test('an ERROR fails the run behind what came before and after it', async () => {
    const { error: failure, on, words } = await heard(TALK.toSpliced(5, 0, error))
    expect(failure).toMatchObject({ code: 'source', message: 'the source failed: quota exceeded' })
    expect(words).toEqual(['error: line 6 of the pipe: the source failed: quota exceeded (HTTP 429)'])
    expect(on.published).toEqual([])
    expect(on.committed?.rows.sort()).toEqual(ROWS)
  })
})

describe('which dialect', () => {
  const bare = '{"type":"click","record":{"data":{}}}'
  const looksLike = '{"stream":"a","emitted_at":1,"data":{}}'
  const schema = '{"type":"SCHEMA","stream":"s","schema":{"type":"object","properties":{}},"key_properties":[]}'
  test.each<[string, string[], string]>([
    [
      'text, then Airbyte',
      ['Starting', '', status('a', 'STARTED'), record('a', '{}'), status('a', 'COMPLETE')],
      'a 1 {}',
    ],
    ['a LOG', ['{"type":"LOG","log":{"level":"INFO","message":"x"}}', record('a', '{}')], 'a 1 {}'],
    [
      'Singer whose payload looks like Airbyte',
      [schema, `{"type":"RECORD","stream":"s","record":${looksLike}}`],
      `s 1 ${looksLike}`,
    ],
    ['a bare record with a type of its own', [bare], `records 1 ${bare}`],
  ])('%s', async (_what, lines, row) => {
    for (const size of [5, 10_000]) {
      const { error: failure, rows } = await heard(lines, { size })
      expect(failure).toBeUndefined()
      expect(rows).toEqual([row])
    }
  })
})

describe('whatever happens to the lines', () => {
  test('cut at any byte, nothing is published', async () => {
    const text = joined(TALK)
    const config = await configOf(keeper())
    const { FromPipe } = await import('../../../../lib/pipe/from.ts')
    // The line end of the last line alone is not missed.
    for (let at = 0; at < text.length - 1; at++) {
      const read = async (): Promise<void> => {
        const source = await new FromPipe(one(Buffer.from(text.slice(0, at))), config, { from: 'airbyte' }).open()
        try {
          const { signal } = new AbortController()
          for await (const { next } of source.read({}, { signal })) expect(next, `cut at ${at}`).not.toBeNull()
        } finally {
          await source.close()
        }
      }
      await expect(read(), `cut at ${at}`).rejects.toThrow(/^(?:nothing came|the pipe ended)/)
    }
  })

  test.each<[string, (at: number) => string[], readonly number[]]>([
    ['dropped', (at) => TALK.toSpliced(at, 1), [0, 1, 5, 7]],
    ['doubled', (at) => TALK.toSpliced(at, 0, TALK[at] as string), [0, 1, 8, 9]],
  ])('a record %s is found where the source counts, and so is the end', async (_what, change, harmless) => {
    for (let at = 0; at < TALK.length; at++) {
      const { error: failure, on } = await heard(change(at))
      expect({ at, loaded: !failure }, failure?.message).toEqual({ at, loaded: harmless.includes(at) })
      if (failure) expect(on.published).toEqual([])
    }
  })

  test('a program that drops records on purpose is allowed to', async () => {
    expect((await heard(TALK.toSpliced(2, 1), { allowEdited: true })).error).toBeUndefined()
  })

  test.each([
    ['a record without data', '{"type":"RECORD","record":{"stream":"a","emitted_at":1}}', 'has no data'],
    ['a record without a stream', '{"type":"RECORD","record":{"data":{},"emitted_at":1}}', 'has no stream'],
    ['a state without a stream', '{"type":"STATE","state":{"type":"STREAM"}}', 'no stream_descriptor'],
    ['a state of a type that is not', '{"type":"STATE","state":{"type":"OTHER"}}', 'of type OTHER'],
    ['a status without a stream', '{"type":"TRACE","trace":{"type":"STREAM_STATUS"}}', 'has no stream_descriptor'],
    ['nothing but logs', '{"type":"LOG","log":{"message":"x"}}', 'before its first record'],
  ])('%s is an error', async (_what, line, said) => {
    const { error: failure, on } = await heard([line], { from: 'airbyte' })
    expect(failure?.message).toContain(said)
    expect(on.published).toEqual([])
  })

  test.each([
    ['INCOMPLETE', [...TALK.slice(0, 8), status('a', 'COMPLETE'), status('b', 'INCOMPLETE')], 'INCOMPLETE'],
    ['of a stream without any status', [...TALK, record('c', '{}')], 'of it no status came'],
    ['started again', [...TALK, status('a', 'STARTED')], 'its last status is STARTED'],
  ])('an end that is %s publishes nothing', async (_what, lines, said) => {
    const { error: failure, on } = await heard(lines)
    expect(failure).toMatchObject({ code: 'incomplete', message: expect.stringContaining(said) })
    expect(on.published).toEqual([])
  })

  test('without statuses the end of the input is the end', async () => {
    expect((await heard(TALK.filter((line) => !line.includes('TRACE')))).rows).toEqual(ROWS)
    expect(linesOf(joined(TALK))).toHaveLength(10)
  })
})

async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
