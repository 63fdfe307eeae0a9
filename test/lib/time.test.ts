import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTime } from '../../lib/time.ts'

describe('RFC 3339', () => {
  it.each([
    ['2024-02-29T10:00:00Z', ['2024-02-29', '10:00:00', '', 'Z']],
    ['2024-12-31 23:59:59.123456789+02:00', ['2024-12-31', '23:59:59', '123456789', '+02:00']],
    ['0001-01-01t00:00:00.0z', ['0001-01-01', '00:00:00', '0', 'Z']],
  ])('takes %s apart', (text, parts) => {
    expect(Object.values(parseTime(text) ?? {})).toEqual(parts)
  })

  it.each([
    '2024-02-30T00:00:00Z',
    '2023-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2024-04-31T00:00:00Z',
    '2024-00-01T00:00:00Z',
    '2024-13-01T00:00:00Z',
    '2024-01-00T00:00:00Z',
    '2024-01-32T00:00:00Z',
    '2024-01-01T24:00:00Z',
    '2024-01-01T00:60:00Z',
    '2024-01-01T00:00:00',
    '2024-01-01T00:00:00.Z',
    '2024-01-01T00:00:00+24:00',
    '2024-01-01',
    ' 2024-01-01T00:00:00Z',
    '2024-01-01T00:00:00Z\n',
  ])('refuses %j', (text) => {
    expect(parseTime(text)).toBeUndefined()
  })

  it('knows every day that there is', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
        (date) => {
          expect(parseTime(date.toISOString())?.day).toBe(date.toISOString().slice(0, 10))
        },
      ),
    )
  })
})
