import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import {
  fits,
  joined,
  type Kind,
  kindOf,
  kindsOfSchema,
  widened,
} from '../../../../connectors/destinations/columns/kinds.ts'
import { Fields, otherKind } from '../../../../connectors/destinations/columns/observe.ts'
import { RawJson } from '../../../../lib/record.ts'

const KINDS: readonly Kind[] = ['boolean', 'integer', 'number', 'date', 'timestamp', 'text', 'json']

const kind = (text: string): Kind | undefined => {
  // With something around it, as in a record.
  const buffer = Buffer.from(`[${text},0]`)
  return kindOf(buffer, 1, 1 + Buffer.byteLength(text))
}

describe('the kind of a value', () => {
  test.each([
    ['null', undefined],
    ['true', 'boolean'],
    ['false', 'boolean'],
    ['""', 'text'],
    ['"12"', 'text'],
    ['"2024-01-01"', 'text'],
    ['{}', 'json'],
    ['[1]', 'json'],
    ['0', 'integer'],
    ['-0', 'number'],
    ['9007199254740993', 'integer'],
    ['9223372036854775807', 'integer'],
    ['-9223372036854775808', 'integer'],
    ['9223372036854775808', 'number'],
    ['-9223372036854775809', 'number'],
    ['123456789012345678901234567890', 'number'],
    ['1.0', 'number'],
    ['-1.10', 'number'],
    ['1e2', 'number'],
    ['1E-2', 'number'],
  ])('%s is %s', (text, expected) => expect(kind(text)).toBe(expected))

  it('is integer exactly for those whole numbers without a point or exponent that 64 bits hold', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), (value) => {
        expect(kind(String(value))).toBe(BigInt.asIntN(64, value) === value ? 'integer' : 'number')
      }),
    )
  })
})

describe('kinds', () => {
  const any = fc.constantFrom(...KINDS)

  it('join to one that takes both, whichever comes first and however they are grouped', () => {
    fc.assert(
      fc.property(any, any, any, (a, b, c) => {
        expect(joined(a, b)).toBe(joined(b, a))
        expect(joined(joined(a, b), c)).toBe(joined(a, joined(b, c)))
        expect(fits(a, joined(a, b))).toBe(true)
      }),
    )
  })

  it('widen only to what takes the value and all that was there', () => {
    fc.assert(
      fc.property(any, any, (column, value) => {
        const wider = widened(column, value)
        if (wider === undefined) return
        expect(fits(value, wider)).toBe(true)
        expect(fits(column, wider)).toBe(true)
        expect(fits(value, column)).toBe(false)
      }),
    )
  })
})

test('a schema says of what kind its fields are', () => {
  const kinds = kindsOfSchema({
    type: 'object',
    properties: {
      a: { type: 'string' },
      b: { type: ['null', 'string'], format: 'date-time' },
      c: { anyOf: [{ type: 'number' }, { type: 'null' }] },
      d: { type: 'integer' },
      e: { type: 'integer', format: 'int64' },
      f: { type: ['string', 'number'] },
      g: { type: 'array', items: {} },
      h: {},
      i: { type: 'string', format: 'date' },
      j: { oneOf: [{ type: 'boolean' }, { type: 'string' }] },
      k: { type: 'null' },
    },
  })
  expect(Object.fromEntries(kinds)).toEqual({
    a: 'text',
    b: 'timestamp',
    c: 'number',
    d: 'number',
    e: 'integer',
    f: 'json',
    g: 'json',
    h: 'json',
    i: 'date',
    j: 'json',
    k: 'json',
  })
})

describe('the fields of records', () => {
  const seen = (...records: string[]): Record<string, Kind> => {
    const fields = new Fields('t')
    for (const record of records) fields.observe(RawJson.from(record), 'r')
    return Object.fromEntries(fields.changed())
  }

  test.each([
    ['one record', ['{"a":1,"b":"x","c":null}'], { a: 'integer', b: 'text' }],
    ['another order', ['{"a":1,"b":"x"}', '{"b":"y","a":2}'], { a: 'integer', b: 'text' }],
    ['fields that come later', ['{"a":1}', '{"z":true,"a":2}'], { a: 'integer', z: 'boolean' }],
    ['null, then a value', ['{"a":null}', '{"a":1.5}'], { a: 'number' }],
    ['integers and others', ['{"a":1}', '{"a":1.5}', '{"a":2}'], { a: 'number' }],
    ['values of two types', ['{"a":1}', '{"a":"x"}'], { a: 'json' }],
    ['one name in two spellings', ['{"a":1}', '{"\\u0061":"x"}'], { a: 'json' }],
    [
      'names that JavaScript gives a meaning',
      ['{"__proto__":1,"constructor":2}'],
      { ['__proto__']: 'integer', constructor: 'integer' },
    ],
    ['white space', ['{ "a" : 1 , "b" : [ ] }'], { a: 'integer', b: 'json' }],
    ['no field', ['{}'], {}],
  ])('%s', (_, records, expected) => {
    expect(Object.entries(seen(...records))).toEqual(Object.entries(expected))
  })

  it('are told once, and again when a column must take more', () => {
    const fields = new Fields('t')
    const changed = (record: string): object => {
      fields.observe(RawJson.from(record), 'r')
      return Object.fromEntries(fields.changed())
    }
    expect(changed('{"a":1,"b":2}')).toEqual({ a: 'integer', b: 'integer' })
    expect(changed('{"a":3,"b":4.5,"c":null}')).toEqual({ b: 'number' })
    expect(changed('{"a":3,"b":1,"c":"x"}')).toEqual({ c: 'text' })
    expect(changed('{"c":"y","b":2,"a":3}')).toEqual({})
  })

  it('are those that parsing finds', () => {
    const key = fc.oneof(fc.constantFrom('a', 'b', 'é', '"', ''), fc.string({ unit: 'grapheme', maxLength: 3 }))
    const value = fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.string(),
      fc.constant([]),
      fc.constant(1.5),
    )
    fc.assert(
      fc.property(fc.array(fc.dictionary(key, value), { maxLength: 6 }), (records) => {
        const expected = new Set(
          records.flatMap((record) => Object.entries(record).flatMap(([name, each]) => (each === null ? [] : [name]))),
        )
        expect(new Set(Object.keys(seen(...records.map((record) => JSON.stringify(record)))))).toEqual(expected)
      }),
    )
  })

  it('are found again in the record that does not fit', () => {
    const takes = (each: Kind): boolean => fits(each, 'integer')
    expect(otherKind(RawJson.from('{"a":1}'), 'a', takes)).toBeUndefined()
    expect(otherKind(RawJson.from('{"a":null}'), 'a', takes)).toBeUndefined()
    expect(otherKind(RawJson.from('{"b":"x","a":"1"}'), 'a', takes)).toBe('text')
  })
})
