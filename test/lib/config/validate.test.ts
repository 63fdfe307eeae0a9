import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { Problems } from '../../../lib/config/problems.ts'
import { checkKeys, validate } from '../../../lib/config/validate.ts'

function outcome(schema: z.ZodType, input: unknown): { value: unknown; said: string } {
  const problems = new Problems('c', () => undefined)
  checkKeys([schema], input, [], problems)
  const value = validate(schema, input, [], problems)
  try {
    problems.throwIfAny()
  } catch (error) {
    return { value, said: (error as Error).message }
  }
  return { value, said: '' }
}

const outcomeOf = (schema: z.ZodType, input: unknown) => outcome(z.object({ k: schema }), { k: input })

describe('values are converted gently', () => {
  test.each<[string, z.ZodType, unknown, unknown]>([
    ['text to an integer', z.number().int(), '10', 10],
    ['text with blanks to an integer', z.int(), ' +7 ', 7],
    ['text to a number', z.number(), '1.5e3', 1500],
    ['yes', z.boolean(), 'yes', true],
    ['ON', z.boolean(), 'ON', true],
    ['"1"', z.boolean(), '1', true],
    ['1', z.boolean(), 1, true],
    ['off', z.boolean(), 'off', false],
    ['"0"', z.boolean(), '0', false],
    ['null to the default', z.number().default(3), null, 3],
    ['null to absent', z.string().optional(), null, undefined],
    ['null stays where it is a value', z.string().nullable(), null, null],
    ['null in a mapping', z.object({ a: z.number().default(1) }), { a: null }, { a: 1 }],
    ['text in a list', z.array(z.number()), ['1', 2], [1, 2]],
    ['text in a choice', z.union([z.boolean(), z.array(z.number())]), ['1'], [1]],
    ['text in a record', z.record(z.string(), z.number()), { a: '1' }, { a: 1 }],
    ['text behind a transform', z.number().transform((n) => n + 1), '1', 2],
  ])('%s', (_title, schema, input, expected) => {
    expect(outcomeOf(schema, input)).toEqual({ value: expected === undefined ? {} : { k: expected }, said: '' })
  })
})

describe('problems are told in words', () => {
  test.each<[z.ZodType, unknown, string]>([
    [z.string(), 10, 'expected a string, got 10; write it in quotes'],
    [z.string(), true, 'expected a string, got true; write it in quotes'],
    [z.string(), new Date(0), 'expected a string, got the date 1970-01-01T00:00:00.000Z; write it in quotes'],
    [z.string(), ['a'], 'expected a string, got a list'],
    [z.string(), null, 'is required'],
    [z.string(), undefined, 'is required'],
    [z.enum(['a', 'b']), undefined, 'is required: one of a, b'],
    [z.string().min(1), '', 'must not be empty'],
    [z.string().min(3), 'ab', 'expected at least 3 characters'],
    [z.string().max(3), 'abcd', 'expected at most 3 characters'],
    [z.string().regex(/^\d+$/), 'x', 'does not match /^\\d+$/, got "x"'],
    [z.url(), 'x', 'expected a valid url, got "x"'],
    [z.number(), 'ten', 'expected a number, got "ten"'],
    [z.number(), '', 'expected a number, got ""'],
    [z.number(), [], 'expected a number, got a list'],
    [z.number().int(), 1.5, 'expected an integer, got 1.5'],
    [z.number().int(), '1.5', 'expected an integer, got 1.5'],
    [z.number().int().min(0), -1, 'expected an integer of 0 or more, got -1'],
    [z.number().int().positive(), 0, 'expected an integer of 1 or more, got 0'],
    [z.number().int().lt(10), 10, 'expected an integer of at most 9, got 10'],
    [z.number().int().min(1).max(9), '12', 'expected an integer from 1 to 9, got 12'],
    [z.number().positive(), 0, 'expected a number above 0, got 0'],
    [z.number().int().multipleOf(5), 3, 'expected a multiple of 5, got 3'],
    [z.number().min(1).default(1), 'x', 'expected a number of 1 or more, got "x"'],
    [z.boolean(), 'perhaps', 'expected true or false, got "perhaps"'],
    [z.boolean(), 2, 'expected true or false, got 2'],
    [z.enum(['json', 'csv']), 'jsno', 'expected one of json, csv, got "jsno"; did you mean "json"?'],
    [z.enum(['INFO', 'DEBUG']), 'info', 'expected one of INFO, DEBUG, got "info"; did you mean "INFO"?'],
    [z.literal('json'), 'csv', 'expected "json", got "csv"'],
    [z.array(z.string()), 'x', 'expected a list, got "x"'],
    [z.array(z.string()).min(1), [], 'must not be empty'],
    [z.array(z.string()).max(1), ['a', 'b'], 'expected at most 1 entries'],
    [z.object({}), 'x', 'expected a mapping, got "x"'],
    [z.union([z.string(), z.array(z.string())]), 5, 'expected a string or a list, got 5; write it in quotes'],
    [z.string().refine((text) => text === 'a', { error: 'only a will do' }), 'b', 'only a will do'],
    [z.string().refine((text) => text === 'a'), 'b', 'is not valid, got "b"'],
    [z.string().max(1), 'x'.repeat(100), 'expected at most 1 characters'],
    [z.number(), 'x'.repeat(100), `expected a number, got "${'x'.repeat(59)}…`],
    [
      z.discriminatedUnion('t', [z.object({ t: z.literal('a') }), z.object({ t: z.literal('bb') })]),
      1,
      'expected a mapping, got 1',
    ],
  ])('%#: %s', (schema, input, expected) => {
    expect(outcomeOf(schema, input).said).toBe(`c k: ${expected}`)
  })

  const choice = z.discriminatedUnion('t', [
    z.object({ t: z.literal('apple'), n: z.number() }),
    z.object({ t: z.enum(['pear', 'plum']), m: z.string().optional() }),
  ])
  test.each<[string, z.ZodType, unknown, string]>([
    [
      'an unknown tag',
      choice,
      { t: 'aple' },
      'c k.t: expected one of apple, pear, plum, got "aple"; did you mean "apple"?',
    ],
    ['no tag', choice, {}, 'c k.t: is required: one of apple, pear, plum'],
    ['a key of another choice', choice, { t: 'apple', n: 1, m: 'x' }, 'c k.m: unknown key; known keys: n, t'],
    [
      'deep in a list',
      z.array(z.object({ a: z.number() })),
      [{ a: 1 }, { a: 'x' }],
      'c k[1].a: expected a number, got "x"',
    ],
    ['in one of several', z.union([z.string(), z.array(z.number())]), [1, 'x'], 'c k[1]: expected a number, got "x"'],
    ['a key with a dot', z.record(z.string(), z.number()), { 'a.b': 'x' }, 'c k."a.b": expected a number, got "x"'],
    [
      'several at once',
      z.object({ a: z.number(), b: z.number() }),
      { a: 'x' },
      'c k.a: expected a number, got "x"\nc k.b: is required',
    ],
  ])('%s', (_title, schema, input, expected) => {
    expect(outcomeOf(schema, input).said).toBe(expected)
  })
})

describe('unknown keys', () => {
  const inner = z.object({ path: z.string().optional() })
  test.each<[string, z.ZodType, string]>([
    ['in a plain mapping', inner, 'c k.paht: unknown key; did you mean "path"?'],
    ['in a strict one', z.strictObject({ path: z.string().optional() }), 'c k.paht: unknown key; did you mean "path"?'],
    [
      'behind wrappers',
      inner
        .optional()
        .default({})
        .transform((x) => x),
      'c k.paht: unknown key; did you mean "path"?',
    ],
    ['in a refined one', inner.refine(() => true), 'c k.paht: unknown key; did you mean "path"?'],
    [
      'in both halves',
      z.intersection(inner, z.object({ other: z.string().optional() })),
      'c k.paht: unknown key; did you mean "path"?',
    ],
    ['in a loose one are fine', z.looseObject({ path: z.string().optional() }), ''],
    ['in a record are fine', z.record(z.string(), z.unknown()), ''],
    ['in anything are fine', z.unknown(), ''],
  ])('%s', (_title, schema, said) => {
    expect(outcomeOf(schema, { paht: 'x' }).said).toBe(said)
  })

  test('that belong one level down say so', () => {
    const schema = z.object({ type: z.string(), config: z.object({ size: z.number().optional() }).optional() })
    expect(outcome(schema, { type: 'a', size: 1 }).said).toBe('c size: unknown key; it belongs under "config"')
  })
})

describe('what must stay secret', () => {
  test('a value that came from a reference is shown as the reference, and nothing is guessed about it', () => {
    const problems = new Problems('c', () => undefined)
    problems.hide(new Map([['k', 'x${env://MODE}']]), (text) => text.replaceAll('increment', '***'))
    validate(z.object({ k: z.enum(['incremental']) }), { k: 'increment' }, [], problems)
    expect(() => problems.throwIfAny()).toThrow(/^c k: expected "incremental", got "x\$\{env:\/\/MODE\}"$/)
  })

  test('a schema’s own message is scrubbed', () => {
    const problems = new Problems('c', () => undefined)
    problems.hide(new Map(), (text) => text.replaceAll('hunter2', '***'))
    const schema = z.object({ k: z.string().refine(() => false, { error: ({ input }) => `${input} is too weak` }) })
    validate(schema, { k: 'hunter2' }, [], problems)
    expect(() => problems.throwIfAny()).toThrow(/^c k: \*\*\* is too weak$/)
  })

  test('a value under a key like password is not shown', () => {
    const problems = new Problems('c', () => undefined)
    validate(z.object({ db_password: z.string(), token: z.string() }), { db_password: 123, token: 4 }, [], problems)
    expect(() => problems.throwIfAny()).toThrow(
      'c db_password: expected a string, got a number; write it in quotes\n' +
        'c token: expected a string, got a number; write it in quotes',
    )
  })
})
