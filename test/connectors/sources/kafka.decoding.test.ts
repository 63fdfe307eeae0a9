// Messages of Kafka to records, without a broker: JSON and what is nearly JSON, keys, headers, tombstones, what is left out.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { strictJson } from '../../../connectors/sources/kafka/json.ts'
import { BizonError } from '../../../lib/errors.ts'
import { decode, message, valueText } from '../../support/kafka-decoding.ts'

const json = { message_encoding: 'utf-8' } as const

describe('the record', () => {
  test('has the keys of the Python bizon around the bytes of the value', async () => {
    const value = '{ "n": 1.10, "n": 9007199254740993, "e":"\\u00e9" }'
    const { records } = await decode({ ...json, topics: [{ name: 't', destination_id: 'p.d.t' }] }, [
      message({ key: { k: 1 }, value, offset: 12, headers: { a: Buffer.from('é"'), b: Buffer.from('2') } }),
    ])
    expect(records).toEqual([
      {
        id: 't/0/12',
        timestamp: new Date(1_700_000_000_000),
        destinationId: 'p.d.t',
        text: `{"topic":"t","partition":0,"offset":12,"timestamp":1700000000000,"keys":{"k":1},"headers":{"a":"é\\"","b":"2"},"value":${value},"schema":{}}`,
      },
    ])
  })

  test('of a message without key, headers and time', async () => {
    const { records } = await decode(json, [message({ value: '[1]', timestamp: -1 })])
    expect(records).toEqual([
      {
        id: 't/0/0',
        text: '{"topic":"t","partition":0,"offset":0,"timestamp":null,"keys":{},"headers":{},"value":[1],"schema":{}}',
      },
    ])
  })

  test('has an id of its own in every topic and partition, and its offset in full', async () => {
    const batch = (topic: string, partition: number) => ({
      topic,
      partition,
      messages: [message({ value: '1', offset: Number.MAX_SAFE_INTEGER })],
    })
    const { records } = await decode(json, [batch('a', 0), batch('a', 1), batch('b"', 0)])
    expect(records.map(({ id }) => id)).toEqual([
      'a/0/9007199254740991',
      'a/1/9007199254740991',
      'b"/0/9007199254740991',
    ])
    for (const { text } of records) expect(text).toContain('"offset":9007199254740991,')
    expect(JSON.parse(records[2]?.text as string).topic).toBe('b"')
  })

  test('is whole however large it is, and however many there are', async () => {
    const values = [1, 100, 300_000, 5, 700_000, 262_000, 20].map((length) => JSON.stringify('x'.repeat(length)))
    const messages = Array.from({ length: 70 }, (_, i) => message({ value: values[i % values.length], offset: i }))
    const { records } = await decode(json, messages)
    expect(records.map(({ text }) => JSON.stringify(JSON.parse(text).value))).toEqual(
      messages.map(({ value }) => String(value)),
    )
  })
})

describe('JSON values', () => {
  test.each([
    ['a lone surrogate', '{"a":"\\ud83d x"}', '{"a":"\\ufffd x"}', 'lone surrogates'],
    ['a lone low surrogate', '"\\uDE00"', '"\\ufffd"', 'lone surrogates'],
    ['two high surrogates', '"\\ud83d\\ud83d\\ude00"', '"\\ufffd\\ud83d\\ude00"', 'lone surrogates'],
    ['a pair', '"\\ud83d\\ude00"', '"\\ud83d\\ude00"', undefined],
    ['a control character in a string', '"a\u0001b"', '"ab"', 'control characters'],
    ['a zero byte around it', '\u0000{"a":1}\u0000', ' {"a":1} ', 'control characters'],
    ['a tab, and line breaks, in a string', '"a\tb\nc\rd"', '"a\\tb\\nc\\rd"', 'control characters'],
    ['a tab, and line breaks, between values', '[1,\t2,\r\n3]', '[1,\t2,\r\n3]', undefined],
    ['an escaped backslash', '"\\\\ud83d"', '"\\\\ud83d"', undefined],
    ['an escaped backslash beside a lone surrogate', '"\\\\ud83d \\ud83d"', '"\\\\ud83d \\ufffd"', 'lone surrogates'],
    ['an escaped quote', '"\\"\u0002\\\\"', '"\\"\\\\"', 'control characters'],
    ['an array', '[1,[2]]', '[1,[2]]', undefined],
    ['a number', '-1.5e3', '-1.5e3', undefined],
    ['a string', '"a"', '"a"', undefined],
    ['null', 'null', 'null', undefined],
    ['duplicate keys', '{"a":1,"a":2}', '{"a":1,"a":2}', undefined],
    [
      '2^64 - 1 and more',
      '[18446744073709551615,123456789012345678901234567890]',
      '[18446744073709551615,123456789012345678901234567890]',
      undefined,
    ],
  ])('%s', async (_, value, expected, repair) => {
    const { records, said } = await decode(json, [message({ value })])
    expect(records[0]?.text).toContain(`"value":${expected},"schema"`)
    expect(() => JSON.parse(records[0]?.text as string)).not.toThrow()
    expect(said).toEqual(
      repair === undefined ? [] : [`t/0/0 has ${repair}, which are mended; others like it are not told`],
    )
  })

  test('bytes that are not UTF-8 become U+FFFD', async () => {
    const value = Buffer.from([0x22, 0xff, 0x61, 0xc3, 0x22])
    const { records, said } = await decode(json, [message({ value }), message({ value })])
    expect(JSON.parse(records[1]?.text as string).value).toBe('\ufffda\ufffd')
    expect(said).toEqual(['t/0/0 has bytes that are not UTF-8, which are mended; others like it are not told'])
  })

  test('all repairs of one message', async () => {
    const value = Buffer.concat([Buffer.from('{"a":"\u0001\\ud83d\t'), Buffer.from([0xff]), Buffer.from('\\\\ud83d"}')])
    expect(await valueText(json, value)).toBe('{"a":"\\ufffd\\t\ufffd\\\\ud83d"}')
  })

  test.each([
    ['NaN', 'NaN', 'is not JSON: byte 1 of 3; it starts NaN'],
    ['a byte order mark', '\ufeff{}', 'is not JSON: byte 1 of 5; it starts \ufeff{}'],
    ['text', 'hello', 'is not JSON: byte 1 of 5; it starts hello'],
    ['what is cut off', '{"a":[1,', 'is not JSON: it stops too early; it starts {"a":[1,'],
    ['two values', '1 2', 'is not JSON: byte 3 of 3; it starts 1 2'],
    ['a number in two by a control character', '12\u000034', 'is not JSON: byte 3 of 5; it starts 12·34'],
    ['a backslash before a control character', '"\\\u0001"', 'is not JSON: byte 3 of 4; it starts "\\·"'],
    [
      'what is nested deeper than can be read',
      '['.repeat(2000),
      'is not JSON that can be read: byte 1025 of 2000; at most 1024 levels',
    ],
  ])('%s is an error', async (_, value, problem) => {
    const error = await decode(json, [message({ value, offset: 7 })]).catch((thrown: unknown) => thrown as BizonError)
    expect(error).toBeInstanceOf(BizonError)
    expect((error as BizonError).message).toContain(`t/0/7: its value ${problem}`)
    expect((error as BizonError).code).toBe('invalid_record')
  })

  test('Avro that is taken for JSON is told as such', async () => {
    const value = Buffer.from([0, 0, 0, 0, 7, 2])
    await expect(decode(json, [message({ value })])).rejects.toThrow('it begins as a message with a schema id does')
  })

  test('any JSON stays as it is, any nearly JSON becomes what JSON.parse reads, and nothing is mended twice', () => {
    const told: string[] = []
    const tell = (repair: string) => void told.push(repair)
    fc.assert(
      fc.property(fc.json(), (text) => {
        const bytes = Buffer.from(text)
        expect(strictJson(bytes, tell)).toBe(bytes)
      }),
    )
    expect(told).toEqual([])
    // Strings of anything, written as a careless program would.
    const part = fc.constantFrom(
      'a',
      'é',
      '\u0001',
      '\t',
      '\n',
      '\\"',
      '\\\\',
      '\\ud83d',
      '\\ude00',
      '\\uD83D',
      '\\u0041',
      'ud83d',
      '😀',
    )
    fc.assert(
      fc.property(fc.array(part), fc.boolean(), (parts, cut) => {
        const bytes = Buffer.from(`{"k":"${parts.join('')}"}`)
        const given = cut ? Buffer.concat([bytes.subarray(0, -2), Buffer.from([0xe2, 0x22, 0x7d])]) : bytes
        const mended = strictJson(given, () => {})
        const { k } = JSON.parse(mended.toString()) as { k: string }
        expect(k).not.toMatch(LONE)
        expect(k.replaceAll('\ufffd', '')).toBe(expectedOf(parts))
        expect(strictJson(mended, tell)).toBe(mended)
      }),
      { numRuns: 300 },
    )
    expect(told).toEqual([])
  })
})

const LONE = /\p{Surrogate}/u

/** What is left of such a string without what cannot be told. */
function expectedOf(parts: readonly string[]): string {
  const escaped = parts.join('').replace(/\p{Cc}/gu, (control) => JSON.stringify(control).slice(1, -1))
  const parsed = JSON.parse(`"${escaped}"`) as string
  return parsed.replace(/\p{Surrogate}/gu, '').replaceAll('\u0001', '')
}

describe('keys', () => {
  test.each([
    ['json', '{"id":9007199254740993}', '{"id":9007199254740993}'],
    ['json', '5', '5'],
    ['json', null, '{}'],
    ['json', '', '{}'],
    ['string', 'abc "d"', '"abc \\"d\\""'],
    ['string', null, 'null'],
    ['bytes', Buffer.from([0, 255]), '"AP8="'],
  ] as const)('%s %j', async (key_encoding, key, expected) => {
    const { records } = await decode({ ...json, key_encoding }, [message({ key, value: '1' })])
    expect(records[0]?.text).toContain(`"keys":${expected},"headers"`)
  })

  test.each([
    ['abc', 'abc'],
    ['not UTF-8', Buffer.from([0xff])],
  ])('%s, which is not JSON, fails, or is left out', async (_, key) => {
    const messages = [message({ key, value: '1' }), message({ key: '"k"', value: '2', offset: 1 })]
    await expect(decode(json, messages)).rejects.toThrow('t/0/0: its key is not JSON')
    // A flag for values does not say that keys do not matter.
    await expect(decode({ ...json, skip_message_on_decode_error: true }, messages)).rejects.toThrow('its key')
    const { records, rejected } = await decode({ ...json, skip_message_invalid_keys: true }, messages)
    expect(records.map(({ id }) => id)).toEqual(['t/0/1'])
    expect(rejected).toBe(1)
  })
})

test.each([
  ['string', Buffer.from([0x61, 0xff]), 'bytes that are not UTF-8'],
  ['json', Buffer.from([0x22, 0xff, 0x22]), 'bytes that are not UTF-8'],
  ['json', '"\\ud800"', 'lone surrogates'],
  ['json', '"a\u0001b"', 'control characters'],
] as const)(
  'a key of %s that would have to be mended fails: two keys could become one',
  async (encoding, key, what) => {
    const messages = [message({ key, value: '1' })]
    await expect(decode({ ...json, key_encoding: encoding }, messages)).rejects.toMatchObject({
      message: expect.stringContaining(`t/0/0: its key has ${what}; mended, it might be the key of other messages`),
      hint: expect.stringContaining('key_encoding to bytes'),
    })
    const { records } = await decode({ ...json, key_encoding: 'bytes' }, messages)
    expect(records[0]?.text).toContain(`"keys":"${Buffer.from(key).toString('base64')}"`)
  },
)

describe('headers', () => {
  const headers = {
    text: Buffer.from('a'),
    binary: Buffer.from([0xff, 0]),
    none: null,
    twice: [Buffer.from('1'), Buffer.from('2')],
    'na"me': Buffer.from('é'),
  }
  test.each([
    ['last', '{"text":"a","binary":"/wA=","none":null,"twice":"2","na\\"me":"é"}'],
    ['list', '{"text":"a","binary":"/wA=","none":null,"twice":["1","2"],"na\\"me":"é"}'],
  ] as const)('texts, bytes, null, and %s of duplicates', async (duplicate_headers, expected) => {
    const { records } = await decode({ ...json, duplicate_headers }, [message({ value: '1', headers })])
    expect(records[0]?.text).toContain(`"headers":${expected},"value"`)
  })
})

describe('values that are no JSON', () => {
  test('text and bytes', async () => {
    const value = Buffer.from([0x41, 0x22, 0xff])
    expect(await valueText({ message_encoding: 'string' }, value)).toBe('"A\\"\ufffd"')
    expect(await valueText({ message_encoding: 'bytes' }, value)).toBe('"QSL/"')
  })

  test('a tombstone is left out, or its value is null', async () => {
    const messages = [message({ key: '1', value: null }), message({ key: '1', value: '' }), message({ value: '1' })]
    const left = await decode(json, messages)
    expect(left.records).toHaveLength(1)
    expect(left.said).toEqual(['messages left out because of an empty value: 2'])
    const kept = await decode({ ...json, skip_message_empty_value: false }, messages)
    expect(kept.records.map(({ text }) => JSON.parse(text).value)).toEqual([null, null, 1])
  })
})

describe('what is left out', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bizon-kafka-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  test('is counted, told ever more rarely, and kept whole in a file', async () => {
    const path = join(folder, 'dead.ndjson')
    const bad = [
      message({ key: '1', value: 'oops', offset: 3, headers: { h: Buffer.from('x'), b: Buffer.from([0xff]) } }),
      message({ key: '2', value: Buffer.from([0xff]), offset: 4 }),
    ]
    const many = Array.from({ length: 20 }, (_, i) => message({ value: 'oops', offset: 10 + i }))
    const config = { ...json, skip_message_on_decode_error: true, dead_letter_path: path }
    const { records, said, rejected } = await decode(config, [...bad, message({ value: '1' }), ...many])
    expect(records).toHaveLength(1)
    expect(rejected).toBe(22)
    expect(said).toEqual([
      'left out (1 so far): t/0/3: its value is not JSON: byte 1 of 4; it starts oops',
      'left out (10 so far): t/0/17: its value is not JSON: byte 1 of 4; it starts oops',
      `messages left out because of a value that cannot be decoded: 22; they are in ${path}`,
    ])
    const letters = (await readFile(path, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(letters).toHaveLength(22)
    expect(letters.slice(0, 2)).toEqual([
      {
        topic: 't',
        partition: 0,
        offset: '3',
        timestamp: 1_700_000_000_000,
        error: 't/0/3: its value is not JSON: byte 1 of 4; it starts oops',
        key: '1',
        headers: { h: 'x', b: { base64: '/w==' } },
        value: 'oops',
      },
      {
        topic: 't',
        partition: 0,
        offset: '4',
        timestamp: 1_700_000_000_000,
        error: 't/0/4: its value is not JSON: byte 1 of 1',
        key: '2',
        headers: {},
        value_base64: '/w==',
      },
    ])
  })
})

describe('Debezium', () => {
  const unwrap = { ...json, debezium: 'unwrap' } as const
  const source = '{"version":"2","name":"shop_eu_db","ts_ms":1700000000123,"table":"orders"}'
  const added = (deleted: boolean, offset = 0) =>
    `"__deleted":${deleted},"__cluster":"shop-eu-db","__kafka_partition":0,"__kafka_offset":${offset},"__event_timestamp":"2023-11-14T22:13:20.123Z"`
  const envelope = (op: string, before: string, after: string) =>
    `{"before":${before},"after":${after},"source":${source},"op":"${op}","ts_ms":1700000000999,"transaction":null}`

  test.each([
    ['created', envelope('c', 'null', '{"id":1,"n":1.10}'), `{"id":1,"n":1.10,${added(false)}}`],
    ['read', envelope('r', 'null', '{ "id":1 }'), `{ "id":1,${added(false)}}`],
    ['updated', envelope('u', '{"id":1,"v":1}', '{"id":1,"v":2}'), `{"id":1,"v":2,${added(false)}}`],
    ['deleted', envelope('d', '{"id":1,"v":2}', 'null'), `{"id":1,"v":2,${added(true)}}`],
    ['deleted without an image of before', envelope('d', 'null', 'null'), `{"id":7,${added(true)}}`],
    ['without columns', envelope('c', 'null', '{}'), `{${added(false)}}`],
    [
      'with its schema beside',
      `{"schema":{"a":1},"payload":${envelope('c', 'null', '{"id":1}')}}`,
      `{"id":1,${added(false)}}`,
    ],
  ])('a row that was %s', async (_, value, expected) => {
    const { records } = await decode(unwrap, [message({ key: '{"id":7}', value })])
    expect(records.map(({ text }) => text)).toEqual([expected])
    expect(() => JSON.parse(expected)).not.toThrow()
  })

  test('tombstones, truncations and messages of the log are left out and counted', async () => {
    const { records, rejected } = await decode({ ...unwrap, skip_message_empty_value: false }, [
      message({ key: '{"id":7}', value: null }),
      message({ value: `{"op":"t","source":${source}}` }),
      message({ value: envelope('c', 'null', '{"id":1}'), offset: 2 }),
    ])
    expect(records.map(({ text }) => text)).toEqual([`{"id":1,${added(false, 2)}}`])
    expect(rejected).toBe(2)
  })

  test('what is no envelope is an error', async () => {
    await expect(decode(unwrap, [message({ value: '{"id":1}' })])).rejects.toThrow(
      't/0/0: its value is no envelope of Debezium',
    )
    await expect(decode(unwrap, [message({ value: envelope('c', 'null', 'null') })])).rejects.toThrow(
      'with op "c" and no row',
    )
    await expect(decode(unwrap, [message({ value: '[]' })])).rejects.toThrow('is no envelope')
  })
})

test('a message of a time that is none is left out when that is asked for, and else named', async () => {
  const config = { message_encoding: 'utf-8' } as const
  const nanoseconds = message({ value: '{}', timestamp: 1_700_000_000_000_000_000 })
  await expect(decode(config, [nanoseconds])).rejects.toThrow(
    't/0/0: its value is of the time 1700000000000000000, which is beyond the year 9999: perhaps it is not in milliseconds',
  )
  const last = message({ value: '{}', timestamp: 253_402_300_799_999, offset: 1 })
  const { records, rejected } = await decode({ ...config, skip_message_on_decode_error: true }, [nanoseconds, last])
  expect([records.map(({ id }) => id), rejected]).toEqual([['t/0/1'], 1])
})
