import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nearest, suggestion } from '../../lib/suggest.ts'

const KEYS = ['name', 'source', 'destination', 'engine', 'sync_mode', 'buffer_size']

describe('nearest', () => {
  test.each([
    ['filee', ['file', 'logger'], 'file'],
    ['naem', KEYS, 'name'],
    ['syncMode', KEYS, 'sync_mode'],
    ['sync-mode', KEYS, 'sync_mode'],
    ['ENGINE', KEYS, 'engine'],
    ['desintation', KEYS, 'destination'],
    ['schema_name', ['database', 'schema', 'echoEngine'], 'schema'],
    ['sync', KEYS, 'sync_mode'],
    ['increment', ['full_refresh', 'incremental', 'stream'], 'incremental'],
  ])('%s is close to one of %j', (word, candidates, expected) => {
    expect(nearest(word, candidates)).toBe(expected)
  })

  test.each(['kafka', 'x', '', 'host'])('%j is close to none of the keys', (word) => {
    expect(nearest(word, KEYS)).toBeUndefined()
  })

  test('a word of two of them is close to neither', () => {
    expect(nearest('buffer', ['buffer_size', 'buffer_flush_timeout'])).toBeUndefined()
  })

  test('the closest wins', () => {
    expect(nearest('plant', ['planet', 'plans', 'plant'])).toBe('plant')
  })

  test('one slip in a word of four letters or more is always found', () => {
    const word = fc.stringMatching(/^[a-z]{4,20}$/)
    fc.assert(
      fc.property(word, fc.nat(), fc.constantFrom('drop', 'double', 'swap'), (right, at, slip) => {
        const i = at % (right.length - 1)
        const wrong = {
          drop: right.slice(0, i) + right.slice(i + 1),
          double: right.slice(0, i) + right.slice(i, i + 1) + right.slice(i),
          swap: right.slice(0, i) + right.slice(i + 1, i + 2) + right.slice(i, i + 1) + right.slice(i + 2),
        }[slip]
        expect(nearest(wrong, ['0123456789', right])).toBe(right)
      }),
    )
  })
})

describe('suggestion', () => {
  test('names the near miss', () => {
    expect(suggestion('filee', ['logger', 'file'], 'known')).toBe('; did you mean "file"?')
  })
  test('without one, lists what there is in order', () => {
    expect(suggestion('mars', ['logger', 'file'], 'known')).toBe('; known: file, logger')
  })
  test('says nothing where there is nothing', () => {
    expect(suggestion('mars', [], 'known')).toBe('')
  })
})
