import { describe, expect, test } from 'vitest'
import { checkedPages, pageProblem } from '../../../lib/custom/page.ts'
import { BizonError } from '../../../lib/errors.ts'
import { RawJson } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'

const record = { id: '1', data: {} }
const page = (records: unknown, next: unknown = null) => ({ records, next })

describe('a page', () => {
  test.each<[string, unknown]>([
    ['without records', page([])],
    ['with text and objects', page([record, { id: '', data: RawJson.from('{}') }])],
    ['with all a record can have', page([{ ...record, timestamp: new Date(0), destinationId: 'a' }])],
    ['with a nested position', page([record], { a: { b: [1, 'x', null, true] } })],
  ])('%s is as promised', (_title, value) => {
    expect(pageProblem(value)).toBeUndefined()
  })

  test.each<[string, unknown, string]>([
    ['a list', [record], ' is a list where { records, next } was expected'],
    ['nothing', undefined, ' is nothing where { records, next } was expected'],
    ['no records', { next: null }, ' has no "records" where a list of records was expected'],
    [
      'no next',
      { records: [] },
      ' does not say what follows: `next` is the position after it, or null on the last page',
    ],
    ['a number as next', page([], 2), ' has a number as "next" where a position, an object like { page: 2 }, or null'],
    ['a Date in its position', page([], { at: new Date(0) }), ': its position cannot be kept as JSON: at is a Date'],
    ['NaN in its position', page([], { a: [Number.NaN] }), ': its position cannot be kept as JSON: 0 is NaN'],
    ['undefined in its position', page([], { a: undefined }), ': its position cannot be kept as JSON: a is nothing'],
    [
      'a Date as watermark',
      { ...page([]), watermark: new Date(0) },
      ': its watermark cannot be kept as JSON: it is a Date',
    ],
    ['a record of null', page([record, null]), ', record 2 is null where { id, data } was expected'],
    ['a number as id', page([{ id: 1, data: {} }]), ', record 1 has a number as "id" where a string was expected'],
    ['no data', page([{ id: '1' }]), ', record 1 has no "data" where an object or RawJson was expected'],
    ['text as data', page([{ id: '1', data: '{}' }]), ', record 1 has a string as "data" where an object or RawJson'],
    [
      'a number as timestamp',
      page([{ ...record, timestamp: 1 }]),
      ', record 1 has a number as "timestamp" where a Date',
    ],
    [
      'an invalid timestamp',
      page([{ ...record, timestamp: new Date('x') }]),
      ' has a "timestamp" that is an invalid Date',
    ],
    ['a routing number', page([{ ...record, destinationId: 1 }]), ', record 1 has a number as "destinationId" where'],
  ])('with %s is told', (_title, value, problem) => {
    expect(pageProblem(value)).toContain(problem)
  })
})

describe('the pages of a custom source', () => {
  const never = new AbortController().signal
  const all = async (read: () => unknown, signal = never): Promise<Page[]> => {
    const pages: Page[] = []
    for await (const page of checkedPages(read, 'my.mjs', signal)) pages.push(page)
    return pages
  }

  test('come through one by one, and its finally runs when nobody wants more', async () => {
    const seen: string[] = []
    const pages = checkedPages(
      async function* () {
        try {
          for (const id of ['1', '2', '3']) {
            seen.push(id)
            yield page([{ ...record, id }], { id })
          }
        } finally {
          seen.push('finally')
        }
      },
      'my.mjs',
      never,
    )
    await pages.next()
    expect(seen).toEqual(['1'])
    await pages.return()
    expect(seen).toEqual(['1', 'finally'])
  })

  test('what it throws is said to be its own, and a BizonError stays as it is', async () => {
    const failing = (error: unknown) =>
      all(async function* () {
        yield await Promise.reject(error)
      })
    await expect(failing(new TypeError('oops'))).rejects.toMatchObject({
      code: 'source',
      message: 'my.mjs: TypeError: oops',
    })
    const clear = new BizonError('locked', 'busy')
    await expect(failing(clear)).rejects.toBe(clear)
  })

  test('an abort stays an abort', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    controller.abort(reason)
    const read = async function* () {
      yield await Promise.reject(controller.signal.reason)
    }
    await expect(all(read, controller.signal)).rejects.toBe(reason)
  })

  test.each([
    ['a promise', () => Promise.resolve([])],
    ['a list', () => [page([record])]],
    ['nothing', () => undefined],
  ])('%s is no generator', async (what, read) => {
    await expect(all(read)).rejects.toThrow(`my.mjs: read() gave ${what}; it must be \`async *read(…)\``)
  })

  test('the first wrong page is named by its number', async () => {
    const read = async function* () {
      yield page([record], { page: 2 })
      yield { records: [] }
    }
    await expect(all(read)).rejects.toThrow('my.mjs: page 2 does not say what follows')
  })
})
