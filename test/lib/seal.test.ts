import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseJson, stringifyJson } from '../../lib/json.ts'
import type { Json } from '../../lib/record.ts'
import { sealOf } from '../../lib/seal.ts'
import type { Position } from '../../lib/source.ts'

const SECRET = 'top secret+välue'
const seal = sealOf(new Map([['env://TOKEN', SECRET]]))

describe('a sealed position', () => {
  test.each([
    [SECRET, '***env://TOKEN***'],
    [`?q=${encodeURIComponent(SECRET)}&page=2`, '?q=***url env://TOKEN***&page=2'],
    [`?${new URLSearchParams({ q: SECRET })}`, '?q=***form env://TOKEN***'],
    ['a*b', 'a***.***b'],
  ])('has for %j %j', (text, sealed) => {
    expect(seal.close({ at: [text] })).toEqual({ at: [sealed] })
    expect(seal.open({ at: [sealed] })).toEqual({ at: [text] })
  })

  test('holds no secret, and opens to what it was, whatever that is', () => {
    const part = fc.oneof(
      fc.constantFrom(SECRET, 'abcd', 'cdabcd', '**ab*', '***', '*', 'env://TOKEN', '.'),
      fc.string(),
    )
    const text = fc.array(part, { maxLength: 6 }).map((parts) => parts.join(''))
    const json = fc.letrec((tie) => ({
      any: fc.oneof(text, fc.integer(), fc.constant(null), fc.array(tie('any')), fc.dictionary(text, tie('any'))),
    })).any
    const two = sealOf(
      new Map([
        ['file://a*b', SECRET],
        ['${A}', 'abcd'],
        ['${B}', 'cdabcd'],
        ['${C}', '**ab*'],
      ]),
    )
    fc.assert(
      fc.property(fc.dictionary(text, json), (position) => {
        const sealed = two.close(position as Position)
        for (const secret of [SECRET, 'abcd', '**ab*']) expect(JSON.stringify(sealed)).not.toContain(secret)
        expect(two.open(JSON.parse(JSON.stringify(sealed)) as Position)).toEqual(position)
      }),
    )
  })

  test('opens to the secret that there is by then', () => {
    const position: Json = { url: `?key=${SECRET}` }
    const changed = sealOf(new Map([['env://TOKEN', 'another']]))
    expect(changed.open(seal.close(position))).toEqual({ url: '?key=another' })
  })

  test('does not open without the reference', () => {
    const other = sealOf(new Map([['env://OTHER', 'something']]))
    expect(() => other.open({ url: '***url env://TOKEN***' })).toThrow(
      expect.objectContaining({
        message: 'the run stands at a position that holds env://TOKEN, which the config does not have',
        hint: expect.stringContaining('source.force_ignore_checkpoint'),
      }),
    )
  })

  test('keeps numbers that a double would change', () => {
    const exact = parseJson('{"id": 12345678901234567890, "at": "sup3rsecret"}')
    const seal = sealOf(new Map([['env://KEY', 'sup3rsecret']]))
    const closed = seal.close(exact)
    expect(stringifyJson(closed)).toBe('{"id":12345678901234567890,"at":"***env://KEY***"}')
    expect(stringifyJson(seal.open(closed))).toBe('{"id":12345678901234567890,"at":"sup3rsecret"}')
  })

  test('is the position itself when there is nothing to hide', () => {
    const position = { at: '***' }
    const none = sealOf(new Map([['env://SHORT', 'abc']]))
    expect(none.close(position)).toBe(position)
    expect(none.open(position)).toBe(position)
  })
})
