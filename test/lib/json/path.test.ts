import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { glance, lookup, parsePath, valuesReader } from '../../../lib/json/path.ts'
import { RawJson } from '../../../lib/record.ts'

const text = (raw: RawJson | undefined): string | undefined => raw?.toString()

describe('a path', () => {
  test.each([
    ['.', []],
    ['items', ['items']],
    ['data.items', ['data', 'items']],
    ['data.0.id', ['data', '0', 'id']],
    ['/a.b/c~1d/e~0f', ['a.b', 'c/d', 'e~f']],
  ])('%s is %j', (written, path) => {
    expect(parsePath(written)).toEqual(path)
  })
})

describe('a lookup', () => {
  const read = lookup({
    list: ['data', 'items'],
    fields: [['id'], ['at', 'updated'], ['tags', '1']],
    values: [['next'], ['data', 'total'], ['links', '0', 'href']],
  })

  test('finds the items of a list, their fields and values around it, in one pass', () => {
    const page = read(
      Buffer.from(
        '\ufeff { "next" : "a\\"b", "links":[{"href":"u"},{"href":"v"}], "data": {"items": [ {"id":1.10,"at":{"updated":"x"},"tags":["p","q"]} , {"id" :null} ], "total": 2 } } \n',
      ),
    )
    expect(page.invalidAt).toBeUndefined()
    expect(page.values.map(text)).toEqual(['"a\\"b"', '2', '"u"'])
    expect(page.items?.map(({ value }) => text(value))).toEqual([
      '{"id":1.10,"at":{"updated":"x"},"tags":["p","q"]}',
      '{"id" :null}',
    ])
    expect(page.items?.map(({ fields }) => fields.map(text))).toEqual([
      ['1.10', '"x"', '"q"'],
      ['null', undefined, undefined],
    ])
  })

  test.each([
    ['nothing there', '{"data":{}}', undefined],
    ['null', '{"data":{"items":null}}', 'null'],
    ['an object', '{"data":{"items":{"a":1}}}', '{"a":1}'],
    ['the parent is a number', '{"data":3}', undefined],
  ])('has no items where the path leads to no list: %s', (_what, body, list) => {
    const page = read(Buffer.from(body))
    expect(page.items).toBeUndefined()
    expect(text(page.list)).toBe(list)
  })

  test('takes the last of duplicate keys, as JSON.parse does, at every level', () => {
    const page = read(
      Buffer.from(
        '{"data":{"total":1,"items":[{"id":1}]},"next":1,"data":{"items":[{"id":2,"at":{"updated":1},"at":{}}]},"next":2}',
      ),
    )
    expect(page.values.map(text)).toEqual(['2', undefined, undefined])
    expect(page.items?.map(({ fields }) => fields.map(text))).toEqual([['2', undefined, undefined]])
  })

  test('finds keys that are written with escapes', () => {
    expect(read(Buffer.from('{"n\\u0065xt":7}')).values.map(text)).toEqual(['7', undefined, undefined])
  })

  test('takes the whole text as the list', () => {
    const page = lookup({ list: [], fields: [['id']] })(Buffer.from(' [{"id":"a"},3]'))
    expect(page.items?.map(({ value, fields }) => [text(value), fields.map(text)])).toEqual([
      ['{"id":"a"}', ['"a"']],
      ['3', [undefined]],
    ])
  })

  test.each([
    ['', 0],
    ['{"data":{"items":[{"id":1}', 26],
    ['{"data":{"items":[{"id":1},', 27],
    ['{"next":1', 9],
    ['{"next"', 7],
    ['{"next" 1}', 8],
    ['{next:1}', 1],
    ['{"next":1,}', 10],
    ['{"next":1}x', 10],
    ['{"data":{"items":[{"id":1}}}', 26],
    ['{"data":{"items":[{"id":1,"tags":[1 2]}]}}', 36],
    ['<html>', 0],
  ])('says where %j is not valid', (body, invalidAt) => {
    expect(read(Buffer.from(body))).toMatchObject({ invalidAt })
  })

  test('agrees with JSON.parse on any JSON, and on every cut of it', () => {
    const keys = fc.constantFrom('id', 'data', 'items', 'next', 'total', 'x', '', 'links', 'href', 'tags', 'at', 'é"')
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.string(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.constant(null),
        fc.boolean(),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(keys, tie('value'), { maxKeys: 6 }),
      ),
    }))
    fc.assert(
      fc.property(value, fc.nat(), (json, cut) => {
        const written = JSON.stringify(json, null, 1)
        const parsed = JSON.parse(written)
        const page = read(Buffer.from(written))
        expect(page.invalidAt).toBeUndefined()
        const dig = (from: unknown, path: readonly string[]): unknown =>
          path.reduce<unknown>(
            (inner, key) =>
              typeof inner === 'object' && inner !== null && Object.hasOwn(inner, key)
                ? (inner as Record<string, unknown>)[key]
                : undefined,
            from,
          )
        expect(page.values.map((raw) => raw && JSON.parse(raw.toString()))).toEqual([
          dig(parsed, ['next']),
          dig(parsed, ['data', 'total']),
          dig(parsed, ['links', '0', 'href']),
        ])
        const list = dig(parsed, ['data', 'items'])
        expect(page.items?.map((item) => JSON.parse(item.value.toString()))).toEqual(
          Array.isArray(list) ? list : undefined,
        )
        const part = Buffer.from(written).subarray(0, cut % Buffer.byteLength(written))
        let valid = true
        try {
          JSON.parse(part.toString())
        } catch {
          valid = false
        }
        expect(read(part).invalidAt === undefined).toBe(valid)
      }),
    )
  })
})

describe('a glance', () => {
  const values = [['next'], ['data', 'total']]
  const read = glance({ list: ['data', 'items'], values })

  test.each([
    ['behind the list', '{"data":{"items":[{"id":[1]},{"id":2}],"total":2},"next":"a"}', ['"a"', '2']],
    ['before the list', '{"next":"a","data":{"total":2,"items":[{"id":[1]}]}}', ['"a"', '2']],
    ['behind other lists', '{"data":{"items":[1],"total":2},"next":"a","x":[[3]]}\n', ['"a"', '2']],
    [
      'though a bracket in a text is near',
      '{"data":{"items":[1],"total":2},"next":"a],\\"next\\":1}"}',
      ['"a],\\"next\\":1}"', '2'],
    ],
    ['though the list is empty', '{"data":{"items":[],"total":2},"next":"a"}', ['"a"', '2']],
    ['without a list', '{"data":{"total":2},"next":["a"]}', ['["a"]', '2']],
    ['before anybody knows whether the list is valid', '{"data":{"items":[1,,],"total":2},"next":"a"}', ['"a"', '2']],
  ])('finds values %s', (_where, body, expected) => {
    expect(read(Buffer.from(body))?.map(text)).toEqual(expected)
  })

  test.each([
    ['one is not there', '{"data":{"items":[1]},"next":"a"}'],
    ['the text is cut off', '{"data":{"items":[1],"total":2},"next":"a"'],
    ['the text is cut off behind a record', '{"next":"a","data":{"total":2,"items":[{"id":[1]},{"id":[2]}'],
    ['the text is empty', ''],
    ['many lists come after', '{"data":{"items":[1],"total":2},"next":"a","x":[1],"y":[1],"z":[1],"u":[1],"v":[1]'],
    ['the list is far behind', `{"next":"a","data":{"total":2,"x":"${'y'.repeat(1 << 16)}","items":[1]}}`],
    ['the list comes twice', '{"data":{"items":[1],"total":2,"items":[1,2'],
  ])('says nothing when %s', (_why, body) => {
    expect(read(Buffer.from(body))).toBeUndefined()
  })

  test('has nothing to find where nothing is wanted', () => {
    expect(glance({ list: ['items'] })(Buffer.from('{'))).toEqual([])
  })

  test('finds what a lookup finds', () => {
    const whole = lookup({ list: ['data', 'items'], values })
    const item = fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 3 }), fc.dictionary(fc.string(), fc.string()))
    const members = fc.uniqueArray(fc.tuple(fc.constantFrom('next', 'a', 'b]', 'data'), item), {
      selector: ([key]) => key,
    })
    fc.assert(
      fc.property(members, members, fc.array(item), (around, inside, items) => {
        const data = Object.fromEntries([...inside, ['total', 1], ['items', items], ...inside.slice(1)])
        const body = Buffer.from(JSON.stringify(Object.fromEntries([...around, ['data', data], ['next', 'n']])))
        const found = read(body)
        if (found) expect(found.map(text)).toEqual(whole(body).values.map(text))
      }),
    )
  })
})

test('values are read from one value of a larger text', () => {
  const buffer = Buffer.from('[{"a":{"b":1}},{"a":{"b":[2,{"c":3}]}}]')
  const read = valuesReader([['a', 'b', '1', 'c'], ['a', 'b'], []])
  expect(read(new RawJson(buffer, 15, buffer.length - 1)).map(text)).toEqual([
    '3',
    '[2,{"c":3}]',
    '{"a":{"b":[2,{"c":3}]}}',
  ])
})
