// What is converted before it is checked, and what never is, for any value.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { Problems } from '../../../lib/config/problems.ts'
import { validate } from '../../../lib/config/validate.ts'

/** The value as the schema takes it, and whether anything was said. */
function outcome(schema: z.ZodType, value: unknown): { value: unknown; isFine: boolean } {
  const problems = new Problems('c', () => undefined)
  const output = validate(z.object({ k: schema }), { k: value }, [], problems)
  return { value: output?.k, isFine: !problems.has(['k']) && output !== undefined }
}

const fine = (value: unknown) => ({ value, isFine: true })
const refused = { value: undefined, isFine: false }

/** For any of the values the schema does what is expected. */
function always<Value>(values: fc.Arbitrary<Value>, schema: z.ZodType, expected: (value: Value) => object): void {
  fc.assert(
    fc.property(values, (value) => {
      expect(outcome(schema, value)).toEqual(expected(value))
    }),
  )
}

const blank = fc.stringMatching(/^[ \t\n]{0,3}$/)
const anyCase = (word: string) =>
  fc
    .array(fc.boolean(), { minLength: word.length, maxLength: word.length })
    .map((upper) => [...word].map((letter, i) => (upper[i] ? letter.toUpperCase() : letter)).join(''))
const oneOf = (words: readonly string[]) => fc.constantFrom(...words).chain(anyCase)

const YES = ['true', 'yes', 'on', '1', 't', 'y']
const NO = ['false', 'no', 'off', '0', 'f', 'n']

describe('a whole number', () => {
  test('may be written as text, with blanks and a plus', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), blank, blank, (n, before, after) => {
        const text = n > 0 ? `+${n}` : String(n)
        expect(outcome(z.number().int(), `${before}${text}${after}`)).toEqual(fine(n))
      }),
    )
  })

  test('keeps its bounds when it is written as text', () => {
    fc.assert(
      fc.property(fc.integer({ min: -50, max: 50 }), fc.integer({ min: -20, max: 20 }), (n, least) => {
        const schema = z.number().int().min(least)
        expect(outcome(schema, String(n))).toEqual(n >= least ? fine(n) : refused)
        expect(outcome(schema, String(n))).toEqual(outcome(schema, n))
      }),
    )
  })

  test('is never made of text that is more than a number', () => {
    const words = fc.string({ minLength: 1 }).filter((text) => text.trim() === '' || Number.isNaN(Number(text)))
    always(words, z.number().int(), () => refused)
  })

  test('is never made of what is no text', () => {
    const other = fc.oneof(fc.boolean(), fc.array(fc.integer()), fc.record({ a: fc.integer() }))
    always(other, z.number().int(), () => refused)
  })
})

describe('a number', () => {
  test('may be written as any decimal text', () => {
    const decimal = fc.double({ noNaN: true, noDefaultInfinity: true })
    always(decimal.map(String), z.number(), (text) => fine(Number(text)))
  })

  test('is not infinite, hexadecimal or empty', () => {
    for (const text of ['Infinity', '-Infinity', 'NaN', '0x10', '1_000', '1,5', '']) {
      expect(outcome(z.number(), text)).toEqual(refused)
    }
  })
})

describe('true and false', () => {
  test('have six words each, in any case', () => {
    always(oneOf(YES), z.boolean(), () => fine(true))
    always(oneOf(NO), z.boolean(), () => fine(false))
  })

  test('have no other words: any text is not true', () => {
    const known = new Set([...YES, ...NO])
    const words = fc.string().filter((text) => !known.has(text.toLowerCase()))
    always(words, z.boolean(), () => refused)
  })

  test('are 1 and 0, and no other number', () => {
    fc.assert(
      fc.property(fc.integer(), (n) => {
        const expected = n === 1 ? fine(true) : n === 0 ? fine(false) : refused
        expect(outcome(z.boolean(), n)).toEqual(expected)
      }),
    )
  })
})

describe('text', () => {
  test('stays as it is, whatever it looks like', () => {
    always(fc.string(), z.string(), fine)
  })

  test('is never made of a number, a boolean or a date', () => {
    const other = fc.oneof(fc.double(), fc.boolean(), fc.date({ noInvalidDate: true }), fc.array(fc.string()))
    always(other, z.string(), () => refused)
  })
})

test('null stands for the default of any key that has one, and for nothing where there is none', () => {
  fc.assert(
    fc.property(fc.integer(), fc.boolean(), fc.string(), (number, boolean, text) => {
      expect(outcome(z.number().default(number), null)).toEqual(fine(number))
      expect(outcome(z.boolean().default(boolean), null)).toEqual(fine(boolean))
      expect(outcome(z.string().default(text), null)).toEqual(fine(text))
    }),
  )
  for (const schema of [z.number(), z.boolean(), z.string()]) {
    expect(outcome(schema.optional(), null)).toEqual(fine(undefined))
    expect(outcome(schema, null)).toEqual(refused)
  }
})
