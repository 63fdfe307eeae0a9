import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { declarationOf } from '../../../lib/json/typescript.ts'
import type { JsonObject } from '../../../lib/record.ts'
import { Sandbox } from '../../support/sandbox.ts'

const open = '  [key: string]: unknown\n'

describe('a JSON Schema as a type', () => {
  test.each<[JsonObject, string]>([
    [{ type: 'string' }, 'export type T = string\n'],
    [{ type: ['integer', 'null'] }, 'export type T = number | null\n'],
    [{ type: 'boolean', nullable: true }, 'export type T = boolean | null\n'],
    [{ enum: ['a', 1, null] }, 'export type T = "a" | 1 | null\n'],
    [{ const: 'x' }, 'export type T = "x"\n'],
    [{ type: 'array', items: { type: ['string', 'number'] } }, 'export type T = (string | number)[]\n'],
    [{ type: 'array', items: [{ type: 'string' }, {}] }, 'export type T = [string, unknown, ...unknown[]]\n'],
    [{ type: 'array' }, 'export type T = unknown[]\n'],
    [{ anyOf: [{ type: 'string' }, { type: 'null' }, { type: 'string' }] }, 'export type T = string | null\n'],
    [{ oneOf: [{ type: 'string' }, {}] }, 'export type T = unknown\n'],
    [
      { allOf: [{ $ref: '#/$defs/a' }, { type: 'object', properties: { b: true } }], $defs: { a: { type: 'string' } } },
      `export type T = string & {\n  b?: unknown\n${open}}\n`,
    ],
    [{ $ref: '#/definitions/a~1b', definitions: { 'a/b': { type: 'number' } } }, 'export type T = number\n'],
    [{ $ref: 'https://elsewhere.example/x' }, 'export type T = unknown\n'],
    [{ type: 'object', additionalProperties: false }, 'export type T = Record<string, never>\n'],
    [
      { type: 'object', additionalProperties: { type: 'number' } },
      'export interface T {\n  [key: string]: number\n}\n',
    ],
    [{}, 'export type T = unknown\n'],
    [
      {
        description: 'An order.',
        type: 'object',
        required: ['id'],
        properties: {
          id: { type: 'string', description: 'Never */ reused.' },
          'total-sum': { type: 'number' },
          lines: {
            type: 'array',
            items: { type: 'object', properties: { n: { type: 'integer' } }, additionalProperties: false },
          },
        },
      },
      '/** An order. */\nexport interface T {\n  /** Never *\\/ reused. */\n  id: string\n  "total-sum"?: number\n' +
        `  lines?: {\n    n?: number\n  }[]\n${open}}\n`,
    ],
  ])('%j', (schema, expected) => {
    expect(declarationOf('T', schema)).toBe(expected)
  })

  test('one that contains itself ends', () => {
    const tree = { type: 'object', properties: { child: { $ref: '#' } }, additionalProperties: false }
    expect(declarationOf('Tree', tree)).toContain('unknown')
  })
})

describe('the compiler', () => {
  let folder: string
  let sandbox: Sandbox
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bizon-types-'))
    sandbox = await Sandbox.create()
  })
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
    await sandbox.remove()
  })

  const compile = async (use: string) => {
    await writeFile(sandbox.path('use.ts'), `import type { Orders } from './orders.d.ts'\n${use}\n`)
    return sandbox.run('npx tsc --noEmit --strict --allowImportingTsExtensions --module nodenext --types "" use.ts')
  }

  test('takes what bizon types writes, and holds records to it', async () => {
    const written = await sandbox.run('npx bizon types examples/rest.yml --out orders.d.ts')
    expect(written).toMatchObject({ code: 0, stdout: '' })
    const good = `export const order: Orders = { id: 'o1', customer: 'c1', total: 1.5, updated_at: 'now', more: true }`
    expect(await compile(good)).toMatchObject({ code: 0 })
    const bad = await compile(good.replace('1.5', "'1.5'"))
    expect(bad.code).not.toBe(0)
    expect(bad.stdout).toContain("Type 'string' is not assignable to type 'number'")
  })
})
