import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import type { ConfigPath } from '../../../lib/config/problems.ts'
import { parseYaml } from '../../../lib/config/yaml.ts'

const problem = (text: string): string => {
  try {
    parseYaml(text, 'c.yml')
  } catch (error) {
    return (error as Error).message
  }
  return 'none'
}

describe('values are read as YAML 1.1', () => {
  test.each([
    ['yes', true],
    ['On', true],
    ['TRUE', true],
    ['no', false],
    ['off', false],
    ['y', 'y'],
    ['N', 'N'],
    ['"yes"', 'yes'],
    ['~', null],
    ['', null],
    ['010', 8],
    ['1_000', 1000],
    ['.5', 0.5],
    ['e9', 'e9'],
    ['.', '.'],
    ['-.', '-.'],
    ['.e3', '.e3'],
    ['-.inf', -Infinity],
    ['5.', 5],
    ['0x1F', 31],
    ['1:30', 90],
    ['-1.5e3', -1500],
    ['2024-01-31', new Date('2024-01-31')],
    ['a # comment', 'a'],
    ["'it''s'", "it's"],
    ['|\n  two\n  lines\n', 'two\nlines\n'],
    ['[1, {b: c}]', [1, { b: 'c' }]],
  ])('a: %s', (text, value) => {
    expect(parseYaml(`a: ${text}`, 'c.yml').value).toEqual({ a: value })
  })

  test('keys are text as they were written, whatever they would be as values', () => {
    expect(parseYaml('on: 1\n2: b\n010: c\n', 'c.yml').value).toEqual({ on: 1, 2: 'b', '010': 'c' })
  })

  test('anchors, aliases and merge keys work; own keys win, then earlier sources', () => {
    const text = 'x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 0\nw: *y\nv:\n  <<: *y\n'
    expect(parseYaml(text, 'c.yml').value).toMatchObject({
      z: { a: 0, b: 1, c: 2 },
      w: { b: 2, c: 2 },
      v: { b: 2, c: 2 },
    })
  })

  test('a key __proto__ is a key like any other', () => {
    const { value } = parseYaml('__proto__: {polluted: 1}', 'c.yml')
    expect(Object.keys(value as object)).toEqual(['__proto__'])
    expect((value as { polluted?: unknown }).polluted).toBeUndefined()
  })

  test('a byte order mark, CRLF and a document start are fine', () => {
    expect(parseYaml('\ufeff---\r\na: 1\r\nb: x\r\n', 'c.yml').value).toEqual({ a: 1, b: 'x' })
  })

  test('any tree of mappings, lists and scalars comes back from its YAML text', () => {
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.string(),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        tie('list'),
        tie('map'),
      ),
      list: fc.array(tie('tree'), { maxLength: 4 }),
      map: fc.dictionary(fc.stringMatching(/^[a-z_ .-]{1,8}$/), tie('tree'), { maxKeys: 4, noNullPrototype: true }),
    }))
    fc.assert(
      fc.property(tree, (value) => {
        const text = stringify({ top: value }, { version: '1.1' })
        expect(parseYaml(text, 'c.yml').value).toEqual({ top: value })
      }),
    )
  })
})

describe('what is not one valid document is told with its place', () => {
  test.each([
    [
      'a: 1\nb: [1, 2\n',
      'c.yml:3:1: not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    ['a:\n\t- b\n', 'c.yml:2:1: not YAML: Tabs are not allowed as indentation'],
    ['a: 1\n---\nb: 2\n', 'c.yml:2:1: a second document starts here; a pipeline is one'],
    ['a: !secret b\n', 'c.yml:1:4: not YAML: Unresolved tag: !secret'],
    ['a: b: c\n', 'c.yml:1:4: not YAML: Nested mappings are not allowed in compact mappings'],
    ['a: 1\nb:\n  c: 1\n  c: 2\n', 'c.yml:4:3 b.c: duplicate key, first on line 3'],
    [
      'a: 1\nb: 1\na: 2\nb: 2\n',
      'c.yml:3:1 a: duplicate key, first on line 1\nc.yml:4:1 b: duplicate key, first on line 2',
    ],
    ['a: *b\n', 'c.yml:1:4 a: *b refers to nothing above it'],
    ['a: &a [1, *a]\n', 'c.yml:1:11 a[1]: *a contains itself'],
    ['? [x]\n: 1\n', 'c.yml:1:3: a key must be plain text'],
    ['a:\n  <<: 1\n', 'c.yml:2:7 a: << takes a mapping or a list of mappings'],
  ])('%j', (text, expected) => {
    expect(problem(text)).toBe(expected)
  })

  test('aliases of aliases do not blow up', () => {
    const levels = Array.from({ length: 12 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i}, `.repeat(10)}]`)
    expect(problem(`l0: &l0 x\n${levels.join('\n')}\n`)).toBe('c.yml:1:1: its aliases make it too large')
  })
})

describe('places', () => {
  const text = 'name: x\nsource:\n  stream:\n  path: [a, b]\n  list:\n    - k: v\n'
  const { locate } = parseYaml(text, 'c.yml')
  test.each<[ConfigPath, 'key' | 'value', number, number]>([
    [['name'], 'value', 1, 7],
    [['name'], 'key', 1, 1],
    [['source'], 'value', 2, 1], // a block: its key says more than its first line
    [['source', 'stream'], 'value', 3, 3], // empty
    [['source', 'path'], 'value', 4, 9],
    [['source', 'path', 1], 'value', 4, 13],
    [['source', 'list', 0], 'value', 6, 7],
    [['source', 'list', 0, 'k'], 'value', 6, 10],
    [['source', 'missing'], 'value', 2, 1], // what is not there is where its parent is
    [['missing', 'deep'], 'key', 1, 1],
    [[], 'value', 1, 1],
  ])('of %j (%s)', (path, part, line, column) => {
    expect(locate(path, part)).toEqual({ line, column })
  })

  test('the text at a key’s place is that key', () => {
    const key = fc.stringMatching(/^[a-z]{1,6}$/).filter((word) => !/^(y|n|yes|no|on|off|true|false|null)$/.test(word))
    const { map } = fc.letrec((tie) => ({
      map: fc.dictionary(key, fc.oneof({ maxDepth: 3 }, fc.nat(), tie('map')), {
        minKeys: 1,
        maxKeys: 4,
        noNullPrototype: true,
      }),
    }))
    fc.assert(
      fc.property(map, (value) => {
        const written = stringify(value)
        const lines = written.split('\n')
        const found = parseYaml(written, 'c.yml')
        const walk = (node: unknown, path: string[]): void => {
          for (const [name, inner] of Object.entries(typeof node === 'object' && node !== null ? node : {})) {
            const place = found.locate([...path, name], 'key')
            const line = lines[(place?.line ?? 0) - 1] ?? ''
            expect(line.slice((place?.column ?? 0) - 1)).toMatch(new RegExp(`^${name}:`))
            walk(inner, [...path, name])
          }
        }
        walk(value, [])
      }),
    )
  })
})
