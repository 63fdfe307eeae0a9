import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type CursorFormat, compareCursors, cursorBefore, cursorOf, momentAs, writeCursor } from '../../lib/cursor.ts'

const compare = (one: string, other: string): number => Math.sign(compareCursors(cursorOf(one), cursorOf(other)))

describe('cursor values are compared as what they are', () => {
  test.each([
    ['9', '10', -1],
    ['-2', '1', -1],
    ['-10', '-9', -1],
    ['1.10', '1.1', 0],
    ['0', '-0.0', 0],
    ['1e3', '1000', 0],
    ['9007199254740993', '9007199254740992', 1],
    ['0.1', '0.09999999999999999999', 1],
    ['123456789012345678901234567890', '123456789012345678901234567891', -1],
    ['1512085950.000216', '1512085950.000099', 1],
    ['2024-01-01T01:00:00+02:00', '2023-12-31T23:00:00Z', 0],
    ['2024-01-01T00:00:00.1Z', '2024-01-01T00:00:00.100Z', 0],
    ['2024-01-01T00:00:00.123456789Z', '2024-01-01T00:00:00.12345679Z', -1],
    ['2024-01-01T00:00:00Z', '2024-01-01T00:00:00.000000001Z', -1],
    ['2024-01-01T02:00:00+0200', '2024-01-01T00:00:00Z', 0],
    ['2024-01-01 10:00:00', '2024-01-01T09:59:59', 1],
    ['2024-01-01', '2024-01-01T00:00:00Z', 0],
    ['2024-01-02', '2024-01-01T23:59:59.9Z', 1],
    ['2024-02-30', '2024-02-01', -1], // no day of any calendar is text
    ['0000-00-00 00:00:00', '2024-01-01 00:00:00', -1],
    ['a', 'b', -1],
    ['Z', 'a', -1],
    ['\u{ff61}', '\u{1f600}', -1], // by code point; UTF-16 units say otherwise
    ['5', '2024-01-01', -1],
    ['abc', '2024-01-01', -1],
    ['5', 'abc', -1],
  ])('%s and %s: %i', (one, other, expected) => {
    expect(compare(one, other)).toBe(expected)
    expect(compare(other, one)).toBe(0 - expected)
  })

  test('integers and decimals as numbers of any size', () => {
    fc.assert(
      fc.property(fc.bigInt(), fc.bigInt(), fc.nat(12), (one, other, shift) => {
        const expected = one < other ? -1 : one > other ? 1 : 0
        expect(compare(String(one), String(other))).toBe(expected)
        expect(compare(`${one}e-${shift}`, `${other}e-${shift}`)).toBe(expected)
      }),
    )
  })

  test('times as instants, whatever the zone', () => {
    const time = fc.record({ at: fc.integer({ min: 0, max: 4e12 }), zone: fc.integer({ min: -14 * 60, max: 14 * 60 }) })
    const write = ({ at, zone }: { at: number; zone: number }): string => {
      const local = new Date(at + zone * 60_000).toISOString().slice(0, -1)
      const minutes = Math.abs(zone)
      const two = (n: number): string => String(n).padStart(2, '0')
      return `${local}${zone < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
    }
    fc.assert(
      fc.property(time, time, (one, other) => {
        expect(compare(write(one), write(other))).toBe(Math.sign(one.at - other.at))
      }),
    )
  })
})

describe('before a cursor value', () => {
  test.each<[string, number, CursorFormat, string]>([
    ['2024-03-01T00:00:00Z', 1, 'as_is', '2024-02-29T23:59:59Z'],
    ['2024-03-01T02:00:00.123456+02:00', 3600, 'as_is', '2024-02-29T23:00:00.123456Z'],
    ['2024-03-01 10:00:00', 60, 'as_is', '2024-03-01T09:59:00'],
    ['2024-03-01', 86_400, 'as_is', '2024-02-29'],
    ['2024-03-01', 1, 'as_is', '2024-02-29'],
    ['9007199254740993', 1, 'as_is', '9007199254740992'],
    ['10.5', 1, 'as_is', '9'],
    ['1700000000000', 5, 'epoch_milliseconds', '1699999995000'],
    ['1700000000', 5, 'epoch_seconds', '1699999995'],
    ['abc', 5, 'as_is', 'abc'],
    ['2024-03-01T00:00:00.10Z', 0, 'as_is', '2024-03-01T00:00:00.10Z'],
  ])('%s less %d (%s) is %s', (text, amount, format, expected) => {
    expect(cursorBefore(cursorOf(text), amount, format).text).toBe(expected)
  })
})

describe('in a request a cursor value is written', () => {
  test.each<[string, CursorFormat, string]>([
    ['2024-03-01T02:00:00.123456+02:00', 'as_is', '2024-03-01T02:00:00.123456+02:00'],
    ['2024-03-01T02:00:00.123456+02:00', 'rfc3339', '2024-03-01T00:00:00.123456Z'],
    ['2024-03-01T02:00:00.123456+02:00', 'date', '2024-03-01'],
    ['2024-03-01T01:00:00+02:00', 'date', '2024-02-29'],
    ['2024-03-01T00:00:00.999999Z', 'epoch_seconds', '1709251200'],
    ['2024-03-01T00:00:00.999999Z', 'epoch_milliseconds', '1709251200999'],
    ['1709251200', 'epoch_seconds', '1709251200'],
    ['1709251200', 'rfc3339', '2024-03-01T00:00:00Z'],
    ['1709251200999', 'date', '2024-03-01'],
    ['abc', 'rfc3339', 'abc'],
  ])('%s as %s: %s', (text, format, expected) => {
    expect(writeCursor(cursorOf(text), format)).toBe(expected)
  })
})

describe('a moment of the clock', () => {
  const moment = new Date('2024-03-01T10:00:00.123Z')
  test.each<[string | undefined, CursorFormat, string | undefined]>([
    [undefined, 'as_is', '2024-03-01T10:00:00.123Z'],
    ['2024-01-01T00:00:00+01:00', 'as_is', '2024-03-01T10:00:00.123Z'],
    ['2024-01-01 00:00:00', 'as_is', '2024-03-01T10:00:00.123'],
    ['2024-01-01', 'as_is', '2024-03-01'],
    ['1700000000', 'epoch_seconds', '1709287200'],
    ['1700000000000', 'epoch_milliseconds', '1709287200123'],
    ['17', 'as_is', undefined],
    ['abc', 'rfc3339', undefined],
  ])('beside %s (%s) is %s', (like, format, expected) => {
    expect(momentAs(moment, like === undefined ? undefined : cursorOf(like), format)?.text).toBe(expected)
  })
})
