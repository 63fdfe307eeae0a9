// Avro messages: framing, registries, schemas, and what each type is as JSON. avsc writes what is read here.

import avsc from 'avsc'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadAvro } from '../../../connectors/avro.ts'
import { avroReader } from '../../../connectors/sources/kafka/avro/reader.ts'
import { frameOf, type IdBytes } from '../../../connectors/sources/kafka/framing.ts'
import { TextBuffer } from '../../../connectors/sources/kafka/text.ts'
import { BizonError } from '../../../lib/errors.ts'
import { createHttp, type Http } from '../../../lib/http.ts'
import { FaultServer } from '../../support/fault-server.ts'
import { decode, message, valueText } from '../../support/kafka-decoding.ts'

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex')

describe('framing', () => {
  test.each<[string, IdBytes, string, number]>([
    ['00 00 00 30 39 02', 'auto', '12345', 5],
    ['00 00 00 30 39 02', '4', '12345', 5],
    ['00 00 00 00 00 00 00 30 39 02', 'auto', '12345', 9],
    ['00 00 00 00 00 00 00 30 39 02', '8', '12345', 9],
    // Four bytes, or the first half of eight: only the config can tell.
    ['00 00 00 00 02 00 00 00 00 02', 'auto', '2', 5],
    ['00 00 00 00 02 00 00 00 00 02', '8', '8589934592', 9],
    ['00 ff ff ff ff 02', 'auto', '4294967295', 5],
    ['00 7f ff ff ff ff ff ff ff 02', '8', '9223372036854775807', 9],
    ['00 00 00 00 07', 'auto', '7', 5],
  ])('%s, %s: %s', (hex, width, id, start) => {
    const bytes = width === 'auto' || width === '4' ? bytesOf(hex) : bytesOf(hex)
    expect(frameOf(bytes, width)).toEqual({ id, start })
  })

  test.each<[string, IdBytes, string]>([
    ['', 'auto', 'is empty'],
    ['7b 22', 'auto', 'has no schema id: it begins with the byte 0x7b'],
    ['00 00 00 00 00', 'auto', 'is too short'],
    ['00 00 00', 'auto', 'is too short'],
    ['00 00 00 00', '4', 'is too short'],
    ['00 00 00 00 00 00 00 00', '8', 'is too short'],
    ['00 00 00 00 00 02', '4', 'has the schema id 0, which is none'],
    ['00 00 00 00 00 00 00 00 00', 'auto', 'has the schema id 0, which is none'],
    ['00 ff ff ff ff ff ff ff ff', '8', 'has the schema id -1, which is none'],
  ])('%s, %s: %s', (hex, width, problem) => {
    expect(() => frameOf(bytesOf(hex), width)).toThrow(problem)
  })

  test('any id is found again', () => {
    fc.assert(
      fc.property(fc.bigInt(1n, 2n ** 63n - 1n), fc.uint8Array(), (id, data) => {
        const eight = Buffer.alloc(9)
        eight.writeBigInt64BE(id, 1)
        expect(frameOf(Buffer.concat([eight, data]), '8')).toEqual({ id: String(id), start: 9 })
        if (id < 2n ** 32n) expect(frameOf(Buffer.concat([eight, data]), 'auto')).toEqual({ id: String(id), start: 9 })
        const four = Buffer.alloc(5)
        four.writeUInt32BE(Number(id % 2n ** 32n) || 1, 1)
        expect(frameOf(Buffer.concat([four, data]), 'auto').start).toBe(5)
      }),
    )
  })
})

/** What avsc writes of a value, as JSON text. */
async function textOf(schema: unknown, value: unknown): Promise<string> {
  const type = avsc.Type.forSchema(schema as never, { wrapUnions: 'always', typeHook: exactLongs() as never })
  return textOfBytes(schema, type.toBuffer(value))
}

async function textOfBytes(schema: unknown, bytes: Buffer): Promise<string> {
  const parse = await loadAvro('source')
  const out = new TextBuffer()
  out.begin()
  avroReader(parse(JSON.stringify(schema), []))(bytes, 0, out)
  return out.end().toString()
}

/** So that 64-bit integers can be written as BigInt. */
function exactLongs(): (schema: unknown) => unknown {
  const long = avsc.types.LongType.__with({
    fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
    toBuffer: (value: bigint) => {
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64LE(BigInt(value))
      return bytes
    },
    fromJSON: BigInt,
    toJSON: String,
    isValid: () => true,
    compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
  })
  return (schema) => {
    const { type } = (typeof schema === 'object' && schema !== null ? schema : {}) as { type?: unknown }
    return schema === 'long' || type === 'long' ? long : undefined
  }
}

const logical = (type: string, logicalType: string, more: object = {}) => ({ type, logicalType, ...more })
const decimal = logical('bytes', 'decimal', { precision: 40, scale: 2 })

describe('types', () => {
  test.each<[string, unknown, unknown, string]>([
    ['null', 'null', null, 'null'],
    ['boolean', 'boolean', true, 'true'],
    ['int', 'int', -5, '-5'],
    ['long of 63 bits', 'long', 9223372036854775807n, '9223372036854775807'],
    ['the least long', 'long', -9223372036854775808n, '-9223372036854775808'],
    ['2^53 + 1', 'long', 9007199254740993n, '9007199254740993'],
    ['float', 'float', 0.5, '0.5'],
    ['double', 'double', 1e300, '1e+300'],
    ['-0', 'double', -0, '-0'],
    ['NaN', 'double', Number.NaN, '"NaN"'],
    ['Infinity', 'double', Number.POSITIVE_INFINITY, '"Infinity"'],
    ['-Infinity', 'float', Number.NEGATIVE_INFINITY, '"-Infinity"'],
    ['string', 'string', 'é"\n\u0001', '"é\\"\\n\\u0001"'],
    ['bytes', 'bytes', Buffer.from([0, 255]), '"AP8="'],
    ['fixed', { type: 'fixed', name: 'F', size: 3 }, Buffer.from([1, 2, 3]), '"AQID"'],
    ['enum', { type: 'enum', name: 'E', symbols: ['A', 'B'] }, 'B', '"B"'],
    ['array', { type: 'array', items: 'int' }, [1, 2], '[1,2]'],
    ['empty array', { type: 'array', items: 'int' }, [], '[]'],
    ['map', { type: 'map', values: 'int' }, { 'a"': 1, b: 2 }, '{"a\\"":1,"b":2}'],
    ['empty map', { type: 'map', values: 'int' }, {}, '{}'],
    ['union', ['null', 'long', 'string'], { string: 'a' }, '"a"'],
    ['null of a union', ['null', 'long'], null, 'null'],
    ['record without fields', { type: 'record', name: 'R', fields: [] }, {}, '{}'],
    ['decimal', decimal, Buffer.from([0xfb, 0x2e]), '"-12.34"'],
    ['small decimal', decimal, Buffer.from([5]), '"0.05"'],
    ['decimal of no bytes', decimal, Buffer.alloc(0), '"0.00"'],
    ['large decimal', decimal, bytesOf('00 ff ff ff ff ff ff ff ff ff'), '"47223664828696452136.95"'],
    [
      'decimal without a valid scale is bytes',
      logical('bytes', 'decimal', { precision: 2, scale: 3 }),
      Buffer.from([5]),
      '"BQ=="',
    ],
    ['uuid', logical('string', 'uuid'), 'a-b', '"a-b"'],
    [
      'uuid in 16 bytes',
      { type: 'fixed', name: 'U', size: 16, logicalType: 'uuid' },
      bytesOf('00112233445566778899aabbccddeeff'),
      '"00112233-4455-6677-8899-aabbccddeeff"',
    ],
    ['date', logical('int', 'date'), 19675, '"2023-11-14"'],
    ['date before 1970', logical('int', 'date'), -1, '"1969-12-31"'],
    ['date beyond all years', logical('int', 'date'), 2147483647, '2147483647'],
    ['time-millis', logical('int', 'time-millis'), 80000123, '"22:13:20.123"'],
    ['time-micros', logical('long', 'time-micros'), 80000123456n, '"22:13:20.123456"'],
    ['time beyond a day', logical('int', 'time-millis'), 86400000, '86400000'],
    ['timestamp-millis', logical('long', 'timestamp-millis'), 1700000000123n, '"2023-11-14T22:13:20.123Z"'],
    ['timestamp-micros', logical('long', 'timestamp-micros'), 1700000000123456n, '"2023-11-14T22:13:20.123456Z"'],
    ['timestamp-micros before 1970', logical('long', 'timestamp-micros'), -1n, '"1969-12-31T23:59:59.999999Z"'],
    ['timestamp-nanos', logical('long', 'timestamp-nanos'), 1700000000123456789n, '"2023-11-14T22:13:20.123456789Z"'],
    ['local-timestamp-millis', logical('long', 'local-timestamp-millis'), 1700000000123n, '"2023-11-14T22:13:20.123"'],
    ['timestamp beyond all years', logical('long', 'timestamp-millis'), 9223372036854775807n, '9223372036854775807'],
    [
      'duration',
      { type: 'fixed', name: 'D', size: 12, logicalType: 'duration' },
      bytesOf('01000000 02000000 bc0b0000'),
      '"P1M2DT3.004S"',
    ],
    ['big-decimal', logical('bytes', 'big-decimal'), bytesOf('04 04d2 04'), '"12.34"'],
    ['a logical type that nobody knows', logical('long', 'era'), 5n, '5'],
    ['a logical type of what cannot have it', logical('string', 'date'), 'x', '"x"'],
    ['a type in a type', { type: { type: 'string', 'avro.java.string': 'String' } }, 'x', '"x"'],
  ])('%s', async (_, schema, value, expected) => {
    const type = typeof schema === 'object' && schema !== null && 'type' in schema ? { ...schema } : schema
    const bare = type as { type?: unknown }
    const written = typeof bare.type === 'object' ? bare.type : type
    const bytes = avsc.Type.forSchema(written as never, {
      wrapUnions: 'always',
      typeHook: exactLongs() as never,
    }).toBuffer(value)
    expect(await textOfBytes(schema, bytes)).toBe(expected)
  })

  test('a record of records, with a type that is named again and one that contains itself', async () => {
    const schema = {
      type: 'record',
      name: 'Node',
      namespace: 'shop',
      fields: [
        { name: 'id', type: { type: 'fixed', name: 'Id', size: 2 } },
        { name: 'other', type: ['null', 'Id'], default: null },
        { name: 'next', type: ['null', 'shop.Node'], default: null },
      ],
    }
    const id = Buffer.from([0, 1])
    const value = { id, other: { 'shop.Id': id }, next: { 'shop.Node': { id, other: null, next: null } } }
    expect(await textOf(schema, value)).toBe(
      '{"id":"AAE=","other":"AAE=","next":{"id":"AAE=","other":null,"next":null}}',
    )
  })

  test('a schema as Debezium and Connect write them: with defaults of any kind, and names that are no names', async () => {
    const moment = { type: 'long', logicalType: 'timestamp-millis', 'connect.default': 0 }
    const schema = {
      type: 'record',
      name: 'Value',
      namespace: 'my-server.2024.orders',
      aliases: ['an-other'],
      fields: [
        { name: 'at', type: moment, default: 0 },
        { name: 'price', type: logical('bytes', 'decimal', { precision: 4, scale: 2 }), default: '\u0000' },
        { name: 'count', type: ['null', 'int'], default: 7 },
        { name: 'kind', type: { type: 'enum', name: 'Kind', symbols: ['A'], default: 'A' }, order: 'sideways' },
        { name: 'again', type: 'my-server.2024.orders.Kind', default: 'B' },
      ],
    }
    expect(await textOfBytes(schema, bytesOf('00 04 04d2 02 0e 00 00'))).toBe(
      '{"at":"1970-01-01T00:00:00.000Z","price":"12.34","count":7,"kind":"A","again":"A"}',
    )
  })

  test('blocks that say how long they are', async () => {
    expect(await textOfBytes({ type: 'array', items: 'int' }, bytesOf('03 04 02 04 02 06 00'))).toBe('[1,2,3]')
  })

  test.each([
    ['is cut off', 'string', '06 61', 'it stops too early'],
    ['goes on', 'int', '02 02', '1 bytes are left'],
    ['has a length below zero', 'string', '01', 'a length is -1'],
    ['has a branch that is not there', ['null', 'int'], '04', 'a branch 2, and there are 2'],
    [
      'has a symbol that is not there',
      { type: 'enum', name: 'E', symbols: ['A'] },
      '02',
      'a symbol 1, and there are 1',
    ],
    ['has an integer of more than 64 bits', 'long', 'ff ff ff ff ff ff ff ff ff 7f', 'more than 64 bits'],
    ['is nothing', 'int', '', 'it stops too early'],
    ['says that it has a billion nulls', { type: 'array', items: 'null' }, '80 a8 d6 b9 07 00', 'items without bytes'],
  ])('what %s is an error', async (_, schema, hex, problem) => {
    await expect(textOfBytes(schema, bytesOf(hex))).rejects.toThrow(problem)
  })

  test('a list of lists without end is an error', async () => {
    const schema = { type: 'record', name: 'L', fields: [{ name: 'n', type: ['null', 'L'] }] }
    await expect(textOfBytes(schema, Buffer.alloc(5000, 2))).rejects.toThrow('nested deeper than 1024 levels')
  })

  test('any value that avsc writes is what JSON makes of it', async () => {
    const schema = {
      type: 'record',
      name: 'R',
      fields: [
        { name: 's', type: 'string' },
        { name: 'i', type: 'int' },
        { name: 'd', type: 'double' },
        { name: 'a', type: { type: 'array', items: ['null', 'string'] } },
        { name: 'm', type: { type: 'map', values: 'boolean' } },
      ],
    }
    const parse = await loadAvro('source')
    const read = avroReader(parse(JSON.stringify(schema), []))
    const type = avsc.Type.forSchema(schema as never, { wrapUnions: 'never' })
    const key = fc.string({ unit: 'grapheme' }).filter((name) => name !== '__proto__')
    const value = fc.record({
      s: fc.string({ unit: 'grapheme' }),
      i: fc.integer(),
      d: fc.double({ noNaN: true, noDefaultInfinity: true }),
      a: fc.array(fc.option(fc.string({ unit: 'grapheme' }))),
      m: fc.dictionary(key, fc.boolean()),
    })
    fc.assert(
      fc.property(value, (given) => {
        const out = new TextBuffer()
        out.begin()
        read(type.toBuffer(given), 0, out)
        const expected = JSON.stringify({ ...given, d: 0 })
        const parsed = JSON.parse(out.end().toString())
        expect(Object.is(parsed.d, given.d)).toBe(true)
        expect(JSON.parse(JSON.stringify({ ...parsed, d: 0 }))).toEqual(JSON.parse(expected))
      }),
    )
  })
})

describe('registries', () => {
  let api: FaultServer
  let http: Http
  beforeEach(async () => {
    api = await FaultServer.start()
    http = createHttp({ random: () => 0 })
  })
  afterEach(async () => {
    await http.close()
    await api.close()
  })

  const framed = (id: number, data: Buffer, width: 4 | 8 = 4): Buffer => {
    const head = Buffer.alloc(1 + width)
    head.writeUInt32BE(id, width - 3)
    return Buffer.concat([head, data])
  }
  const order = { type: 'record', name: 'Order', namespace: 'shop', fields: [{ name: 'n', type: 'long' }] }
  const five = Buffer.from([10])
  const config = (type: 'apicurio' | 'apicurio_v3' | 'confluent', more: object = {}) => ({
    authentication: { schema_registry_type: type, schema_registry_url: `${api.url}/`, ...more },
  })

  test.each([
    ['apicurio', 'global', '/apis/registry/v2/ids/globalIds/7'],
    ['apicurio', 'content', '/apis/registry/v2/ids/contentIds/7'],
    ['apicurio_v3', 'global', '/apis/registry/v3/ids/globalIds/7'],
    ['apicurio_v3', 'content', '/apis/registry/v3/ids/contentIds/7'],
  ] as const)('%s, %s ids: one request for each id', async (type, schema_registry_ids, path) => {
    api.on(path, { json: order })
    const values = [framed(7, five), framed(7, five, 8), framed(7, five)].map((value) => message({ value }))
    const { records } = await decode(config(type, { schema_registry_ids }), values, http)
    expect(records.map(({ text }) => JSON.parse(text).value)).toEqual([{ n: 5 }, { n: 5 }, { n: 5 }])
    expect(JSON.parse(records[0]?.text as string).schema).toEqual({})
    expect(api.requests).toHaveLength(1)
    expect(api.requests[0]?.headers.authorization).toBeUndefined()
  })

  test('confluent, with user and password, and the schema in each record', async () => {
    api.on('/schemas/ids/7', { json: { schema: JSON.stringify(order, null, 2) } })
    const asked = {
      ...config('confluent', { schema_registry_username: 'u', schema_registry_password: 'p' }),
      include_schema: true,
    }
    const { records } = await decode(
      asked,
      [message({ value: framed(7, five) }), message({ value: framed(7, five) })],
      http,
    )
    expect(records[1]?.text).toContain(`"value":{"n":5},"schema":${JSON.stringify(order)}}`)
    expect(api.requests.map(({ headers }) => headers.authorization)).toEqual([
      `Basic ${Buffer.from('u:p').toString('base64')}`,
    ])
  })

  test('keys in Avro too', async () => {
    api.on('/schemas/ids/7', { json: { schema: JSON.stringify(order) } })
    api.on('/schemas/ids/8', { json: { schema: '"string"' } })
    const key = framed(8, Buffer.from([2, 0x61]))
    const { records } = await decode(
      { ...config('confluent'), key_encoding: 'avro' },
      [message({ key, value: framed(7, five) })],
      http,
    )
    expect(records[0]?.text).toContain('"keys":"a",')
    expect(api.requests).toHaveLength(2)
  })

  const item = { type: 'record', name: 'Item', namespace: 'shop', fields: [{ name: 'money', type: 'shop.Money' }] }
  const money = { type: 'enum', name: 'Money', namespace: 'shop', symbols: ['EUR'] }
  const basket = {
    type: 'record',
    name: 'Basket',
    namespace: 'shop',
    fields: [
      { name: 'item', type: 'shop.Item' },
      { name: 'm', type: 'Money' },
    ],
  }

  test('references of references, at Confluent’s', async () => {
    const references = [
      { name: 'shop.Item', subject: 'item/value', version: 3 },
      { name: 'shop.Money', subject: 'money', version: 1 },
    ]
    api.on('/schemas/ids/7', { json: { schema: JSON.stringify(basket), schemaType: 'AVRO', references } })
    api.on('/subjects/item%2Fvalue/versions/3', { json: { schema: JSON.stringify(item), references: [references[1]] } })
    api.on('/subjects/money/versions/1', { json: { schema: JSON.stringify(money) } })
    expect(await valueText(config('confluent'), framed(7, Buffer.from([0, 0])), http)).toBe(
      '{"item":{"money":"EUR"},"m":"EUR"}',
    )
    expect(api.requests).toHaveLength(3)
  })

  test.each(['apicurio', 'apicurio_v3'] as const)('references of references, at %s', async (type) => {
    const [v, content] = type === 'apicurio' ? ['v2', ''] : ['v3', '/content']
    const registry = `/apis/registry/${v}`
    const references = [
      { groupId: 'g', artifactId: 'item', version: '3', name: 'shop.Item' },
      { groupId: null, artifactId: 'money', version: '1', name: 'shop.Money' },
    ]
    const items = `${registry}/groups/g/artifacts/item/versions/3`
    const moneys = `${registry}/groups/default/artifacts/money/versions/1`
    api.on(`${registry}/ids/globalIds/7`, { json: basket })
    api.on(`${registry}/ids/globalIds/7/references`, { json: references })
    api.on(items + content, { json: item })
    api.on(`${items}/references`, { json: [references[1]] })
    api.on(moneys + content, { json: money })
    api.on(`${moneys}/references`, { json: [] })
    expect(await valueText(config(type), framed(7, Buffer.from([0, 0])), http)).toBe(
      '{"item":{"money":"EUR"},"m":"EUR"}',
    )
    // A second one costs nothing.
    expect(api.requests.filter(({ path }) => path === moneys + content)).toHaveLength(1)
  })

  test('a message larger than two buffers, and text that is not UTF-8', async () => {
    api.on('/schemas/ids/7', { json: { schema: '"string"' } })
    const type = avsc.Type.forSchema('string')
    const large = 'é"'.repeat(300_000)
    expect(JSON.parse(await valueText(config('confluent'), framed(7, type.toBuffer(large)), http))).toBe(large)
    expect(await valueText(config('confluent'), framed(7, Buffer.from([4, 0x61, 0xff])), http)).toBe('"a\ufffd"')
  })

  test('an id that the registry does not know is named, with what it was asked for', async () => {
    api.on('/apis/registry/v2/ids/globalIds/12345', { status: 404, json: { error_code: 404, message: 'No artifact' } })
    const error = await decode(config('apicurio'), [message({ value: framed(12345, five), offset: 9 })], http).catch(
      (thrown) => thrown,
    )
    expect(error).toBeInstanceOf(BizonError)
    expect(error.message).toContain(
      `t/0/9: its value has the schema id 12345, which the registry ${api.url} does not know`,
    )
    expect(error.hint).toContain('source.schema_id_bytes')
  })

  test('a password in the address of the registry is not shown', async () => {
    api.on('/schemas/ids/5', { status: 404, json: { error_code: 40403, message: 'Schema not found' } })
    const known = config('confluent', { schema_registry_url: api.url.replace('//', '//reader:hidden-word@') })
    const error = await decode(known, [message({ value: framed(5, five) })], http).catch((thrown) => thrown)
    expect(error.message).toContain('which the registry http://***@')
    expect(`${error.message} ${error.hint}`).not.toContain('hidden-word')
  })

  test('such messages are left out when that is asked for, and the registry is asked once', async () => {
    api.on('/schemas/ids/5', { status: 404, json: { error_code: 40403, message: 'Schema not found' } })
    api.on('/schemas/ids/7', { json: { schema: JSON.stringify(order) } })
    const values = [framed(5, five), framed(7, five), framed(5, five)].map((value) => message({ value }))
    const { records, rejected } = await decode(
      { ...config('confluent'), skip_message_on_decode_error: true },
      values,
      http,
    )
    expect([records.length, rejected]).toEqual([1, 2])
    expect(api.requests).toHaveLength(2)
  })

  test.each([
    [
      'refuses',
      { status: 401, json: { error_code: 401, message: 'Unauthorized' } },
      'schema_registry_password',
      '401 Unauthorized',
    ],
    ['is broken', { status: 400, json: { message: 'no' } }, 'schema_registry_url', '400 Bad Request'],
    ['is something else', { body: '<html>' }, 'schema_registry_url', 'does not answer in JSON'],
  ])('a registry that %s ends the run, whatever is left out', async (_, answer, remedy, said) => {
    api.on('/schemas/ids/7', answer)
    const all = { ...config('confluent'), skip_message_on_decode_error: true }
    const hasty = createHttp({ hasty: true, random: () => 0 })
    const error = await decode(all, [message({ value: framed(7, five), offset: 3 })], hasty).catch((thrown) => thrown)
    await hasty.close()
    expect(error).toBeInstanceOf(BizonError)
    expect(error.message).toContain('t/0/3: the schema with id 7 cannot be had: GET ')
    expect(error.message).toContain(said)
    expect(error.hint).toContain(remedy)
  })

  test('a registry that is late is asked again', async () => {
    api.on(
      '/schemas/ids/7',
      { status: 503 },
      { status: 429, headers: { 'retry-after': '0' } },
      { json: { schema: JSON.stringify(order) } },
    )
    expect(await valueText(config('confluent'), framed(7, five), http)).toBe('{"n":5}')
    expect(api.requests).toHaveLength(3)
  })

  test.each([
    [
      'of another kind',
      { schema: 'syntax = "proto3";', schemaType: 'PROTOBUF' },
      'which is of type PROTOBUF, not Avro',
    ],
    ['that is not valid', { schema: '{"type":"record"}' }, 'whose schema is not valid'],
    ['with a type that nobody defines', { schema: '"Foo"' }, 'it names the type Foo, which is defined nowhere'],
  ])('a schema %s is an error of the message', async (_, json, problem) => {
    api.on('/schemas/ids/7', { json })
    await expect(decode(config('confluent'), [message({ value: framed(7, five) })], http)).rejects.toThrow(problem)
  })

  test('without a registry nothing is read', async () => {
    await expect(decode({}, [])).rejects.toThrow('source.authentication.schema_registry_url: is required to read Avro')
  })

  test('what is no Avro at all says what else it may be', async () => {
    const error = await decode(config('apicurio'), [message({ value: '{"a":1}' })], http).catch((thrown) => thrown)
    expect(error.message).toContain(
      't/0/0: its value has no schema id: it begins with the byte 0x7b, not with 0x00; it starts {"a":1}',
    )
    expect(error.hint).toContain('utf-8')
  })

  test('an envelope of Debezium in Avro is unwrapped', async () => {
    const row = { type: 'record', name: 'Value', fields: [{ name: 'id', type: 'long' }] }
    const envelope = {
      type: 'record',
      name: 'Envelope',
      namespace: 'shop.public.orders',
      fields: [
        { name: 'before', type: ['null', row], default: null },
        { name: 'after', type: ['null', 'Value'], default: null },
        {
          name: 'source',
          type: {
            type: 'record',
            name: 'Source',
            fields: [
              { name: 'name', type: 'string' },
              { name: 'ts_ms', type: 'long' },
            ],
          },
        },
        { name: 'op', type: 'string' },
      ],
    }
    api.on('/schemas/ids/7', { json: { schema: JSON.stringify(envelope) } })
    const type = avsc.Type.forSchema(envelope as never, { wrapUnions: 'always' })
    const data = type.toBuffer({
      before: null,
      after: { 'shop.public.orders.Value': { id: 5 } },
      source: { name: 'a_b', ts_ms: 0 },
      op: 'c',
    })
    const { records } = await decode(
      { ...config('confluent'), debezium: 'unwrap' },
      [message({ value: framed(7, data) })],
      http,
    )
    expect(records[0]?.text).toBe(
      '{"id":5,"__deleted":false,"__cluster":"a-b","__kafka_partition":0,"__kafka_offset":0,"__event_timestamp":"1970-01-01T00:00:00.000Z"}',
    )
  })
})
