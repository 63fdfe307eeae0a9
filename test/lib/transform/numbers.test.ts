import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HERE, printed, readable } from '../../../lib/transform/numbers.ts'
import { javascript, python, textsAfter } from '../../support/transforms.ts'

/** JSON text of a number, as many ways as the grammar has. */
const digits = (least: number, most: number) =>
  fc.array(fc.integer({ min: 0, max: 9 }), { minLength: least, maxLength: most }).map((all) => all.join(''))
const number = fc
  .record({
    sign: fc.constantFrom('', '-'),
    whole: fc.oneof(
      fc.constant('0'),
      fc.integer({ min: 1, max: 9 }).chain((first) => digits(0, 24).map((rest) => first + rest)),
    ),
    fraction: fc.option(digits(1, 24), { nil: undefined }),
    exponent: fc.option(
      fc.record({ e: fc.constantFrom('e', 'E'), sign: fc.constantFrom('', '+', '-'), digits: digits(1, 3) }),
      { nil: undefined },
    ),
  })
  .map(({ sign, whole, fraction, exponent }) => {
    const power = exponent === undefined ? '' : exponent.e + exponent.sign + exponent.digits
    return `${sign}${whole}${fraction === undefined ? '' : `.${fraction}`}${power}`
  })
const key = fc.constantFrom('a', 'b', 'c', 'é', '__proto__', 'isLosslessNumber', 'value', '𝄞"\\')
const { value } = fc.letrec<{ value: string; object: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    number,
    fc.constantFrom('null', 'true', 'false', '"text"', '"\\ud800"', '"é\\n"', '{}', '[]'),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
    tie('object'),
  ),
  object: fc
    .uniqueArray(fc.tuple(key, tie('value')), { maxLength: 4, selector: ([name]) => name })
    .map((members) => `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`),
}))
const record = value.map((text) => `{"value":${text},"n":1.10}`)

describe('numbers that a script does not touch keep their text', () => {
  test('read and printed', () => {
    fc.assert(
      fc.property(record, (text) => {
        const reading = readable(text, HERE)
        expect(printed(reading.value, reading)).toBe(text)
      }),
      { numRuns: 2000 },
    )
  })

  test.each([javascript('const seen = data'), python('seen = data')])('through a step of $kind', async (step) => {
    await fc.assert(
      fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 200 }), async (texts) => {
        expect(await textsAfter(step, texts)).toEqual(texts)
      }),
      { numRuns: 8 },
    )
  })
})

describe('what a script in JavaScript sees and what is printed', () => {
  test.each<[string, string, string]>([
    ['1.10 is a number', 'return { ok: data.a === 1.1, fixed: data.a.toFixed(3) }', '{"ok":true,"fixed":"1.100"}'],
    [
      '2^53 + 1 is a bigint',
      'return { next: data.big + 1n, text: `${data.big}` }',
      '{"next":9007199254740994,"text":"9007199254740993"}',
    ],
    ['1e400 prints as it came', 'return { huge: data.huge, text: String(data.huge) }', '{"huge":1e400,"text":"1e400"}'],
    ['a moved number keeps its text', 'return { moved: data.a }', '{"moved":1.10}'],
    ['a moved list keeps all its texts', 'return { moved: data.list }', '{"moved":[1.0,-0,-0.0,2E1]}'],
    [
      'a whole number that is new is not written like another',
      'return { one: 1, twenty: 20 }',
      '{"one":1,"twenty":20}',
    ],
    ['a changed number is printed as JavaScript prints it', 'data.a *= 2; return { a: data.a }', '{"a":2.2}'],
    ['a minus zero that was computed stays one', 'return { zero: data.a * -0 }', '{"zero":-0}'],
    [
      'a Date becomes text',
      'return { at: new Date(0), huge: data.huge }',
      '{"at":"1970-01-01T00:00:00.000Z","huge":1e400}',
    ],
    [
      'a copy keeps all texts',
      'return structuredClone({ ...data, z: [data.huge] })',
      '{"a":1.10,"big":9007199254740993,"huge":1e400,"list":[1.0,-0,-0.0,2E1],"z":[1e400]}',
    ],
    [
      'what is in an object of its own is printed',
      'return { huge: data.huge, all: [new String("a"), new Number(2), Object(3n), new Boolean(false)] }',
      '{"huge":1e400,"all":["a",2,3,false]}',
    ],
    ['undefined is left out', 'return { a: undefined, l: [undefined], huge: data.huge }', '{"l":[null],"huge":1e400}'],
  ])('%s', async (_title, script, expected) => {
    const text = '{"a":1.10,"big":9007199254740993,"huge":1e400,"list":[1.0,-0,-0.0,2E1],"z":null}'
    expect(await textsAfter(javascript(script), [text])).toEqual([expected])
  })

  test.each(['{"a":1}', '{"a":1.10}'])('NaN and Infinity are errors, in %s', async (text) => {
    for (const script of ['data.n = NaN', 'data.l = [1, { x: 1 / 0 }]']) {
      await expect(textsAfter(javascript(script), [text])).rejects.toThrow(
        /^transform tidy, record "1": TypeError: (NaN|Infinity) is not JSON$/,
      )
    }
  })

  test.each(['{"a":1}', '{"a":1.10}'])('what JSON has nothing for is an error, in %s', async (text) => {
    for (const [script, expected] of [
      ['data.at = new Date("May")', 'an invalid Date is not JSON'],
      ['data.m = new Map([[1, 2]])', 'a Map is not JSON'],
      ['data.l = [{ s: new Set("a") }]', 'a Set is not JSON'],
      ['data.l = [1].map(async (n) => n)', 'a Promise is not JSON'],
      ['data.n = { toJSON: () => [NaN] }', 'NaN is not JSON'],
    ] as const) {
      await expect(textsAfter(javascript(script), [text])).rejects.toThrow(
        `transform tidy, record "1": TypeError: ${expected}`,
      )
    }
    const fine = 'data.e = {}; data.z = null; data.n = { n: NaN, m: new Map(), toJSON: () => null }; data.b = Object(1)'
    const [after = ''] = await textsAfter(javascript(fine), [text])
    expect(after).toBe(text.replace('}', ',"e":{},"z":null,"n":null,"b":1}'))
  })

  test('a bigint is printed in a record of plain numbers too', async () => {
    expect(await textsAfter(javascript('data.b = 2n ** 64n'), ['{"a":1}'])).toEqual([
      '{"a":1,"b":18446744073709551616}',
    ])
  })
})
