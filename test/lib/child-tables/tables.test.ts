// What child tables and their columns are called, what is refused, and in which parts a page comes.

import { describe, expect, it } from 'vitest'
import { linksOf } from '../../../connectors/destinations/child-tables.ts'
import { fitting, type NameRules } from '../../../lib/child-tables/names.ts'
import { scalarFields, withChildTables } from '../../../lib/child-tables.ts'
import { RawJson, type SourceRecord, textOf } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'

const LINKS = linksOf({ metadata: 'bizon' })

interface Given {
  readonly depth?: number
  readonly names?: NameRules
  readonly rows?: number
}

async function pagesOf(pages: readonly Partial<Page>[], { depth = 10, names = {}, rows = 0 }: Given = {}) {
  async function* given(): AsyncGenerator<Page> {
    for (const page of pages) yield { records: [], next: null, ...page }
  }
  const found: Page[] = []
  const usual = (stream = 'orders') => stream
  for await (const page of withChildTables(given(), { depth, names, links: LINKS, idPrefix: 'run', rows, usual }))
    found.push(page)
  return found
}

const recordsOf = (texts: readonly string[]): SourceRecord[] =>
  texts.map((text, at) => ({ id: `r${at}`, data: RawJson.from(text) }))

async function rowsOf(texts: readonly string[], given?: Given): Promise<string[]> {
  const [page] = await pagesOf([{ records: recordsOf(texts) }], given)
  return (page as Page).records.map(
    (row) => `${row.destinationId ?? ''} ${row.id} ${textOf(row.data).replaceAll(/"run0{14}(..)"/g, '$1')}`,
  )
}

const link = (parent: string, root: string, index: number): string =>
  `"_bizon_parent_id":${parent},"_bizon_root_id":${root},"_bizon_index":${index}`

describe('rows', () => {
  it('follow their record, each list behind its own row', async () => {
    const text = '{"id":7,"to":{"city":"Rom","at":[1.10]},"items":[{"sku":"a","tags":["x",null]},{"sku":"b"}],"n":null}'
    expect(await rowsOf([text, '{"id":8}'])).toEqual([
      ' r0 {"id":7,"to__city":"Rom","n":null}',
      `orders__to__at r0 {${link('00', '00', 0)},"value":1.10}`,
      `orders__items r0 {${link('00', '00', 0)},"sku":"a"}`,
      `orders__items__tags r0 {${link('02', '00', 0)},"value":"x"}`,
      `orders__items__tags r0 {${link('02', '00', 1)},"value":null}`,
      `orders__items r0 {${link('00', '00', 1)},"sku":"b"}`,
      ' r1 {"id":8}',
    ])
  })

  it('are numbered on from the rows that are durable, over all pages', async () => {
    const records = recordsOf(['{"l":[1]}'])
    const pages = await pagesOf([{ records }, { records }], { rows: 0x40 })
    const parents = pages
      .flatMap((page) => page.records.slice(1))
      .map(({ data }) => /"run0*(\w+)"/.exec(textOf(data))?.[1])
    expect(parents).toEqual(['40', '42'])
  })

  it('keep the time of their record, and where it goes', async () => {
    const [record] = recordsOf(['{"l":[{}]}']) as [SourceRecord]
    const [page] = await pagesOf([
      { records: [{ ...record, destinationId: 'other', timestamp: '2024-12-05T12:00:00Z' }] },
    ])
    expect(page?.records.map(({ destinationId, timestamp }) => [destinationId, timestamp])).toEqual([
      ['other', '2024-12-05T12:00:00Z'],
      ['other__l', '2024-12-05T12:00:00Z'],
    ])
  })

  it('go to the child tables of the stream of their page', async () => {
    const [page] = await pagesOf([{ records: recordsOf(['{"l":[1]}']), stream: { name: 'refunds' } }])
    expect(page?.records.map(({ destinationId }) => destinationId)).toEqual([undefined, 'refunds__l'])
  })

  it.each([
    [
      'a list in a list has a row, and a table behind it',
      '{"l":[[1],[]]}',
      10,
      [
        ' r0 {}',
        `orders__l r0 {${link('00', '00', 0)}}`,
        `orders__l__list r0 {${link('01', '00', 0)},"value":1}`,
        `orders__l r0 {${link('00', '00', 1)}}`,
      ],
    ],
    ['an empty list or object is nothing', '{"l":[],"m":[ ],"o":{},"p":{"q":{}}}', 10, [' r0 {}']],
    [
      'what is deeper stays JSON',
      '{"o":{"p":{"q":[1]}},"l":[{"m":[2]},[3]]}',
      1,
      [
        ' r0 {"o__p":{"q":[1]}}',
        `orders__l r0 {${link('00', '00', 0)},"m":[2]}`,
        `orders__l r0 {${link('00', '00', 1)},"value":[3]}`,
      ],
    ],
    [
      'the last of members with one name counts',
      '{"l":[1],"x":{"y":1,"y":2},"l":3,"x":{"y":4,"y":5}}',
      10,
      [' r0 {"l":3,"x__y":5}'],
    ],
    ['no record is an object', '[{"l":[1]}]', 10, [' r0 [{"l":[1]}]']],
  ])('%s', async (_, text, depth, expected) => {
    expect(await rowsOf([text], { depth })).toEqual(expected)
  })
})

describe('names', () => {
  it('that are too long are cut, and told apart by a hash of all of it', async () => {
    const [long, letters] = ['x'.repeat(70), 'é'.repeat(40)]
    const rows = await rowsOf([`{"${long}":[1],"${long}1":[1],"o":{"${letters}":1}}`], { names: { longestName: 63 } })
    expect(rows).toEqual([
      expect.stringMatching(/^ r0 {"o__é{24}_[0-9a-f]{10}":1}$/),
      expect.stringMatching(/^orders__x{44}_[0-9a-f]{10} /),
      expect.stringMatching(/^orders__x{44}_[0-9a-f]{10} /),
    ])
    expect(rows[1]?.slice(0, 64)).not.toBe(rows[2]?.slice(0, 64))
  })

  it('are the same for the same, and at most as long as may be', () => {
    for (const name of ['orders__items', 'x'.repeat(64), '😀'.repeat(30), `a${'é'.repeat(40)}`]) {
      const cut = fitting(name, 63)
      expect(fitting(name, 63)).toBe(cut)
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(63)
      expect(cut === name).toBe(Buffer.byteLength(name) <= 63)
      expect(cut).not.toMatch(/\p{Surrogate}/u)
    }
    expect(fitting('x'.repeat(1000))).toHaveLength(1000)
  })

  const folded = { foldName: (name: string) => name.toLowerCase() }
  it.each<[string, string[], Given, string]>([
    [
      'a list and records of their own',
      ['{"items":[1]}'],
      {},
      'table orders__items would be for records of their own and for the list "orders"."items"',
    ],
    [
      'two lists',
      ['{"a":{"b":[1]},"a__b":[2]}'],
      {},
      'table orders__a__b would be for the list "orders"."a"."b" and for the list "orders"."a__b"',
    ],
    ['two lists of two records', ['{"a":{"b":[1]}}', '{"a__b":[2]}'], {}, 'table orders__a__b would be for'],
    [
      'an object and a field',
      ['{"a":{"b":1},"a__b":2}'],
      {},
      'column a__b of table orders would be for field "a"."b" and for field "a__b"',
    ],
    [
      'two objects',
      ['{"a":{"b":{"c":1}},"a__b":{"c":2}}'],
      {},
      'column a__b__c of table orders would be for field "a"."b"."c" and for field "a__b"."c"',
    ],
    [
      'a field and a link',
      ['{"l":[{"_bizon_parent_id":1}]}'],
      {},
      'column _bizon_parent_id of table orders__l would be for the link of that name and for field "_bizon_parent_id"',
    ],
    [
      'a field of a record, and the link by which its lists find it',
      ['{"_bizon_root_id":"7"}'],
      {},
      'column _bizon_root_id of table orders would be for the link of that name and for field "_bizon_root_id"',
    ],
    [
      'two spellings of one name',
      ['{"l":[1],"L":[1]}'],
      { names: folded },
      'table orders__L would be for the list "orders"."l" and for the list "orders"."L"',
    ],
    [
      'a list in a list, and a list of that name',
      ['{"l":[[1],{"list":[1]}]}'],
      {},
      'table orders__l__list would be for',
    ],
  ])('that would be one are refused: %s', async (what, texts, given, expected) => {
    const own: Partial<Page>[] =
      what === 'a list and records of their own'
        ? [{ records: recordsOf(['{}']), stream: { name: 'orders__items' } }]
        : []
    const error = await pagesOf([...own, { records: recordsOf(texts) }], given).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'invalid_record',
      message: expect.stringContaining(expected),
      hint: 'Rename one of them in a transform, or choose another destination_id.',
    })
    expect(String(error)).toMatch(/record "r[01]": /)
  })

  it('of tables that leave no room for those of their lists are refused', async () => {
    const page = (bytes: number) => ({ records: recordsOf(['{"l":[1]}']), stream: { name: 'x'.repeat(bytes) } })
    await expect(pagesOf([page(50)], { names: { longestName: 63 } })).resolves.toHaveLength(1)
    await expect(pagesOf([page(51)], { names: { longestName: 63 } })).rejects.toMatchObject({
      code: 'config',
      message: `record "r0": unnest: tables: table ${'x'.repeat(51)} has lists, and its name more than 50 bytes`,
    })
  })

  it('of two spellings are two where the destination has two', async () => {
    expect((await rowsOf(['{"l":[1],"L":[1]}'])).map((row) => row.split(' ')[0])).toEqual([
      '',
      'orders__l',
      'orders__L',
    ])
  })
})

describe('a page', () => {
  it('that is many more bytes as rows comes in parts, and ends with the last', async () => {
    const long = `{"l":[${'1,'.repeat(50_000)}1]}`
    let released = 0
    const page = {
      records: recordsOf([long, '{"n":1}']),
      next: { at: 3 },
      watermark: 5,
      release: () => void released++,
    }
    const pages = await pagesOf([page])
    expect(pages.length).toBeGreaterThan(5)
    expect(pages.reduce((sum, { records }) => sum + records.length, 0)).toBe(50_003)
    for (const part of pages) {
      expect(part.records.reduce((sum, { data }) => sum + (data as RawJson).byteLength + 200, 0)).toBeLessThan(
        1.1 * 2 ** 20,
      )
    }
    expect(pages.slice(0, -1).every(({ more, isPart, release }) => more && isPart && release === undefined)).toBe(true)
    expect(pages.at(-1)).toMatchObject({ next: { at: 3 }, watermark: 5 })
    expect(pages.at(-1)).not.toMatchObject({ more: true })
    expect(pages.at(-1)).not.toMatchObject({ isPart: true })
    pages.at(-1)?.release?.()
    expect(released).toBe(1)
  })

  it('of which more follows says so in its last part too', async () => {
    expect((await pagesOf([{ records: recordsOf(['{"l":[1]}']), more: true }])).map(({ more }) => more)).toEqual([true])
  })

  it('is measured anew', async () => {
    expect((await pagesOf([{ records: recordsOf(['{"l":[1]}']), bytes: 9 }])).map(({ bytes }) => bytes)).toEqual([
      undefined,
    ])
  })
})

it('of a schema the fields stay that are columns for certain', () => {
  const one = (type: unknown, more = {}) => ({ type, ...more }) as never
  const properties = {
    id: one('integer'),
    at: one(['string', 'null'], { format: 'date-time' }),
    any: {},
    list: one('array'),
    object: one(['null', 'object']),
    either: { anyOf: [one('string'), one('null')] },
    mixed: { oneOf: [one('string'), one('array')] },
  }
  expect(Object.keys(scalarFields({ type: 'object', properties }).properties as object)).toEqual(['id', 'at', 'either'])
  expect(scalarFields({})).toEqual({ type: 'object', properties: {} })
})

it.each([
  ['fields', (name: string) => `{"${name}":1}`],
  ['fields of objects', (name: string) => `{"by":{"of":{"${name}":1}}}`],
  ['lists', (name: string) => `{"${name}":[{"a":1}]}`],
  ['fields of rows of lists', (name: string) => `{"l":[{"${name}":1}]}`],
])('values in the place of names are not remembered for ever: %s', async (_, textOf) => {
  const texts = Array.from({ length: 9990 }, (_, at) => textOf(`k${at}`))
  const lists = texts[0]?.includes('"a"') ? 4990 : 9990
  await rowsOf(texts.slice(0, lists))
  await expect(rowsOf([...texts, ...Array.from({ length: 20 }, (_, at) => textOf(`l${at}`))])).rejects.toMatchObject({
    message: expect.stringMatching(
      /^record "r\d+": unnest: tables: records for orders have more than 10000 names of fields by now: they look like/,
    ),
    hint: expect.stringMatching(/in a transform.*unnest: false/),
  })
})
