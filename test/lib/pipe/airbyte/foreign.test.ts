// What any Airbyte source may say, in small conversations: each stream goes where it belongs, byte for byte, and a STATE
// comes back only when everything before it is durable.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { complaintsOfMessages } from '../../../support/airbyte.ts'
import { error, hear, ROWS, record, sent, state, status, TALK } from '../../../support/airbyte-talk.ts'
import { joined, keeper, keepingDestination, loaded, pipeConfig, textSource } from '../../../support/pipe.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-airbyte-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const heard = (lines: readonly string[], options?: Parameters<typeof hear>[2], checkpointPages?: number) =>
  hear(folder, lines, options, checkpointPages)

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
