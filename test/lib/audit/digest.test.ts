import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createDigester, digestFrom, digestText } from '../../../lib/audit/digest.ts'
import { RawJson } from '../../../lib/record.ts'

const digester = createDigester()
function digestOf(text: string): string {
  digester.value(RawJson.from(text))
  return digestText(digester)
}

test.each([
  ['1.10', '1.1'],
  ['-0', '0'],
  ['0e5', '0.000'],
  ['1E2', '100'],
  ['1e400', `1${'0'.repeat(400)}`],
  ['0.001', '1e-3'],
  ['-12.50e-3', '-0.0125'],
  ['{"a":1,"b":[1,2]}', ' {\n"b" : [ 1 ,2], "a":1.0 } '],
  ['{"a":1,"a":2}', '{"a":2}'],
  ['{"a":1,"b":3,"\\u0061":2}', '{"b":3,"a":2}'],
  ['"\\u00e9\\ud834\\udd1e\\n\\/"', '"é𝄞\\u000a/"'],
  ['"\\u20ac plain text behind it"', '"€ plain text behind it"'],
  ['{"\\u0041":{}}', '{"A":{}}'],
])('%s is %s', (one, other) => {
  expect(digestOf(one)).toBe(digestOf(other))
})

test.each([
  ['9007199254740993', '9007199254740992'],
  ['1', '10'],
  ['1', '-1'],
  ['10.01', '1.001'],
  ['1e2147483648', '1e-2147483648'],
  ['1', '"1"'],
  ['""', 'null'],
  ['null', 'false'],
  ['true', 'false'],
  ['{}', '[]'],
  ['[[],[]]', '[[]]'],
  ['[1,2]', '[2,1]'],
  ['[1,[2]]', '[[1],2]'],
  ['{"a":{"b":1}}', '{"b":{"a":1}}'],
  ['{"a":1,"b":2}', '{"a":2,"b":1}'],
  ['{"a":null}', '{}'],
  ['"\\ud800"', '"\\ud801"'],
  ['"abcd"', '"abcde"'],
  ['"a\\u0000"', '"a"'],
])('%s is not %s', (one, other) => {
  expect(digestOf(one)).not.toBe(digestOf(other))
})

/** The same value, spelled in another way. */
function respell(value: unknown): string {
  if (Array.isArray(value)) return `[ ${value.map(respell).join(' ,\t')}\n]`
  if (typeof value === 'string') {
    return `"${[...Array(value.length).keys()].map((at) => `\\u${value.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).map(([key, inner]) => `${respell(key)} : ${respell(inner)}`)
  return `{ ${members.reverse().join(' , ')} }`
}

test('a value has one digest however it is spelled, and another one has another', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
      const text = JSON.stringify(one)
      expect(digestOf(respell(one))).toBe(digestOf(text))
      const isSame = respell(JSON.parse(text)) === respell(JSON.parse(JSON.stringify(other)))
      if (!isSame && text.length !== JSON.stringify(other).length)
        expect(digestOf(JSON.stringify(other))).not.toBe(digestOf(text))
    }),
    { numRuns: 300 },
  )
})

test('an object of many members, some of them twice', () => {
  const members = Array.from({ length: 100 }, (_, at) => `"key${at}":${at}`)
  const twice = `{${[...members.map((member) => member.replace(/:.*/, ':null')), ...members].join(',')}}`
  expect(digestOf(twice)).toBe(digestOf(`{${members.reverse().join(',')}}`))
})

test('a changed byte anywhere changes it', () => {
  const text = '{"id":"a17","price":17.10,"text":"some words, and more of them","list":[1,22,333],"ok":true}'
  const whole = digestOf(text)
  for (const [at, byte] of [...text].entries()) {
    const other = /\d/.test(byte) ? (byte === '1' ? '2' : '1') : /[a-z ]/.test(byte) ? 'x' : undefined
    if (other === undefined || other === byte) continue
    const changed = text.slice(0, at) + other + text.slice(at + 1)
    try {
      JSON.parse(changed)
    } catch {
      continue
    }
    expect(digestOf(changed), changed).not.toBe(whole)
  }
})

test('its text is read back; anything else is none', () => {
  digester.record('id', RawJson.from('{"a":1}'))
  const { a, b } = digester
  expect(digestFrom(digestText({ a, b }))).toEqual({ a, b })
  for (const wrong of [undefined, null, 1, '', 'abc', `${digestText({ a, b })}0`])
    expect(digestFrom(wrong)).toBeUndefined()
})
