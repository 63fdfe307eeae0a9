import { describe, expect, it } from 'vitest'
import { SeenValues } from '../../../../connectors/destinations/columns/seen.ts'
import { FollowedColumns, type FollowOptions } from '../../../../connectors/destinations/columns/table.ts'
import { RawJson, type SourceRecord } from '../../../../lib/record.ts'

const records = (...texts: string[]): SourceRecord[] =>
  texts.map((text, at) => ({ id: `r${at}`, data: RawJson.from(text) }))

function table(options: Partial<FollowOptions> = {}): FollowedColumns {
  const usual = {
    table: 't',
    policy: 'evolve',
    columns: new Map(),
    written: [],
    isReplaced: false,
    remedy: 'weep',
  } as const
  return new FollowedColumns({ ...usual, ...options })
}

const written = (columns: FollowedColumns): object => Object.fromEntries(columns.written)

describe('a new table', () => {
  it('gets the columns of the first records, and further ones as they come', () => {
    const columns = table()
    expect(columns.follow(records('{"a":1}', '{"a":2,"b":"x"}'))?.added).toEqual(
      new Map([
        ['a', 'integer'],
        ['b', 'text'],
      ]),
    )
    expect(columns.follow(records('{"a":3,"b":"y"}'))).toBeUndefined()
    expect(columns.follow(records('{"a":1.5,"c":true}'))).toMatchObject({
      added: new Map([['c', 'boolean']]),
      widened: new Map([['a', 'number']]),
    })
    expect(written(columns)).toEqual({ a: 'number', b: 'text', c: 'boolean' })
  })

  it.each(['freeze', 'fail'] as const)('is made for its first records also with %s', (policy) => {
    const columns = table({ policy })
    columns.follow(records('{"a":1}'))
    expect(written(columns)).toEqual({ a: 'integer' })
    if (policy === 'fail')
      expect(() => columns.follow(records('{"b":1}'))).toThrow('its field "b" (integer) is no column')
    else {
      expect(columns.follow(records('{"b":1}'))).toMatchObject({ added: new Map(), leftOut: ['b'] })
      expect(columns.follow(records('{"b":1}', '{"b":2.5}'))).toBeUndefined()
    }
    expect(written(columns)).toEqual({ a: 'integer' })
  })

  it('has the fields that the source names, of the kinds that it says where the values allow', () => {
    const schema = {
      properties: {
        at: { type: 'string', format: 'date-time' },
        n: { type: 'number' },
        wrong: { type: 'boolean' },
        never: { type: 'string' },
      },
    }
    const columns = table()
    columns.follow(records('{"at":"2024-01-01T00:00:00Z","n":1,"wrong":"x"}'), schema)
    expect(written(columns)).toEqual({ at: 'timestamp', n: 'number', wrong: 'text', never: 'text' })
  })

  it('has none for a field that is always null', () => {
    const columns = table()
    expect(columns.follow(records('{"a":null}'))).toBeUndefined()
    expect(written(columns)).toEqual({})
  })
})

describe('a table that is there', () => {
  const columns = new Map([
    ['a', 'integer'],
    ['theirs', undefined],
  ] as const)

  it('keeps the defaults of columns of others until a record has a value for them', () => {
    const followed = table({ columns, written: ['a', 'dropped'] })
    expect(written(followed)).toEqual({ a: 'integer' })
    expect(followed.follow(records('{"a":1}'))).toBeUndefined()
    expect(followed.follow(records('{"a":1,"theirs":"x"}'))).toMatchObject({
      added: new Map(),
      used: new Set(['theirs']),
    })
    expect(written(followed)).toEqual({ a: 'integer', theirs: undefined })
    expect(followed.follow(records('{"theirs":"y"}'))).toBeUndefined()
  })

  it('names the first record that does not fit', () => {
    const given = records('{"a":1}', '{"a":null}', '{"b":"x"}', '{"a":"x"}', '{"a":"y"}')
    expect(() => table({ columns }).follow(given)).toThrow(
      'record "r3" for t: its field "a" is text, and the column is integer',
    )
  })
})

it.each(['freeze', 'evolve'] as const)('%s: values in the place of names are not remembered for ever', (policy) => {
  const columns = table({ policy, columns: new Map([['id', 'integer']]) })
  const named = (from: number, count: number) =>
    Array.from({ length: count }, (_, at) => `"k${from + at}":${at % 2 === 0 ? 1 : null}`)
  columns.follow(records(`{"id":1,${named(0, 5000)}}`, `{"id":2,${named(5000, 4999)}}`))
  columns.follow(records(`{"id":3,${named(0, 5000)}}`))
  expect(() => columns.follow(records('{"id":4}', '{"k0":1,"another":null}'))).toThrow(
    expect.objectContaining({
      message: 'record "r1" for t: there are more than 10000 names of fields by now: they look like values',
      hint: expect.stringMatching(/in a transform.*unnest: false/),
    }),
  )
})

describe('where values are', () => {
  const shown = (some: readonly SourceRecord[], read: ReturnType<FollowedColumns['valuesFor']>): unknown[] =>
    some.map(({ data }) => {
      const raw = data as RawJson
      const into = new Int32Array(4).fill(-1)
      if (!read(raw, into)) return undefined
      return [0, 1].map((at) => raw.buffer.toString('utf8', into[2 * at], Math.max(0, into[2 * at + 1] as number)))
    })

  it('is known record by record, of the last of several with one name, in any order and spelling', () => {
    const columns = table({ seen: new SeenValues() })
    const some = records('{"a":1,"b":"x"}', '{"b":null,"\\u0061":2,"a":3}', '{}', '{"c":[1],"a":{"b":4}}')
    columns.follow(some)
    const read = columns.valuesFor(['b', 'a'])
    expect(shown(some, read)).toEqual([
      ['"x"', '1'],
      ['null', '3'],
      ['', ''],
      ['', '{"b":4}'],
    ])
    expect(shown(some, read)).toEqual(some.map(() => undefined))
    const more = records('{"d":1,"b":"y"}', '{"e":2,"a":6}')
    columns.follow(more)
    expect(shown(more, read)).toEqual([
      ['"y"', ''],
      ['', '6'],
    ])
  })

  it('is not said of another record, nor of any behind it', () => {
    const columns = table({ seen: new SeenValues() })
    const some = records('{"a":1}', '{"a":2}')
    columns.follow(some)
    const read = columns.valuesFor(['a', 'b'])
    expect(shown([...some].reverse(), read)).toEqual([undefined, undefined])
  })

  it('is known of a page of many records', () => {
    const columns = table({ seen: new SeenValues() })
    const some = records(...Array.from({ length: 50_000 }, (_, n) => `{"b":${n},"a":${-n}}`))
    columns.follow(some)
    expect(shown(some, columns.valuesFor(['a', 'b']))).toEqual(some.map((_, n) => [`${-n}`, `${n}`]))
  })
})
