import { describe, expect, test } from 'vitest'
import { dateFormatProblem, parseDate } from '../../../lib/auth/strptime.ts'

describe('a date in a form of the user', () => {
  test.each([
    ['2024-12-05T12:30:15Z', '%Y-%m-%dT%H:%M:%S%z', '2024-12-05T12:30:15.000Z'],
    ['2024-12-05T12:30:15+02:00', '%Y-%m-%dT%H:%M:%S%z', '2024-12-05T10:30:15.000Z'],
    ['2024-12-05T12:30:15-0130', '%FT%T%z', '2024-12-05T14:00:15.000Z'],
    ['2024-12-05 12:30:15.123456', '%Y-%m-%d %H:%M:%S.%f', '2024-12-05T12:30:15.123Z'],
    ['2024-12-05 12:30:15.5', '%Y-%m-%d %H:%M:%S.%f', '2024-12-05T12:30:15.500Z'],
    ['05/12/2024', '%d/%m/%Y', '2024-12-05T00:00:00.000Z'],
    ['Thu, 05 Dec 2024 12:30:15 GMT', '%a, %d %b %Y %H:%M:%S %Z', '2024-12-05T12:30:15.000Z'],
    ['thursday, 5 DECEMBER 2024', '%A, %d %B %Y', '2024-12-05T00:00:00.000Z'],
    ['12/05/24 12:30 am', '%D %I:%M %p', '2024-12-05T00:30:00.000Z'],
    ['12/05/24 01:30 PM', '%m/%d/%y %I:%M %p', '2024-12-05T13:30:00.000Z'],
    ['12/05/70', '%D', '1970-12-05T00:00:00.000Z'],
    ['1733401815', '%s', '2024-12-05T12:30:15.000Z'],
    ['20241205123015', '%Y%m%d%H%M%S', '2024-12-05T12:30:15.000Z'],
    ['100% 2024 (UTC)', '100%% %Y (%Z)', '2024-01-01T00:00:00.000Z'],
    ['%T 2024', '%%T %Y', '2024-01-01T00:00:00.000Z'],
  ])('%s as %s', (text, format, expected) => {
    const time = parseDate(text, format)
    expect(time === undefined ? undefined : new Date(time).toISOString()).toBe(expected)
  })

  test.each([
    ['2024-12-05', '%Y/%m/%d'],
    ['2024-02-30', '%Y-%m-%d'],
    ['2024-13-01', '%Y-%m-%d'],
    ['2024-12-05 24:00', '%F %R'],
    ['2024-12-05 12:60', '%F %R'],
    ['2024-12-05 extra', '%Y-%m-%d'],
    ['', '%Y'],
  ])('%j is none of %s', (text, format) => {
    expect(parseDate(text, format)).toBeUndefined()
  })

  test.each([
    ['%Q', '"%Q" is not understood; known: %Y'],
    ['%Y %', '"%" is not understood'],
    ['YYYY-MM-DD', 'holds no directive'],
    ['', 'holds no directive'],
  ])('%j is no format', (format, said) => {
    expect(dateFormatProblem(format)).toContain(said)
    expect(parseDate('2024', format)).toBeUndefined()
  })
})
