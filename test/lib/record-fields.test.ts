import { expect, test } from 'vitest'
import { RawJson } from '../../lib/record.ts'
import { idOf } from '../../lib/record-fields.ts'

test.each([
  ['0', '0'],
  ['7', '7'],
  ['123456789', '123456789'],
  ['1234567890', '1234567890'],
  ['12345678901234567890', '12345678901234567890'],
  ['-5', '-5'],
  ['-0', '-0'],
  ['"007"', '007'],
  ['""', ''],
  ['"a\\u00e9"', 'aé'],
  ['1.0', undefined],
  ['1e3', undefined],
  ['true', undefined],
  ['null', undefined],
  ['{}', undefined],
  ['[1]', undefined],
])('the id %s is %j', (json, id) => {
  const buffer = Buffer.from(`9${json}9`)
  expect(idOf(new RawJson(buffer, 1, buffer.length - 1))).toBe(id)
})

test('no value is no id', () => {
  expect(idOf(undefined)).toBeUndefined()
})
