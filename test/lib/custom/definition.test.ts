import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import * as mini from 'zod/mini'
import { z as z3 } from 'zod/v3'
import { customDestination, customSource, definitionProblem } from '../../../lib/custom/definition.ts'

const config = z.strictObject({})
const create = () => ({})
const streams = () => [{ name: 'orders' }]
const source = { summary: 'S.', config, streams, create }
const without = (name: string) => Object.fromEntries(Object.entries(source).filter(([key]) => key !== name))

describe('what a file must export', () => {
  test('a source or a destination is accepted', () => {
    expect(definitionProblem({ default: source }, 'source')).toBeUndefined()
    expect(definitionProblem({ default: { ...source, tuning: ['a'] } }, 'source')).toBeUndefined()
    expect(definitionProblem({ default: without('streams') }, 'destination')).toBeUndefined()
  })

  test.each<[string, Record<string, unknown>, string]>([
    ['nothing', {}, 'it has no default export; it ends with `export default defineSource({ … })`'],
    ['a class', { default: class {} }, 'its default export is a class where the result of defineSource({ … }) was'],
    ['a promise', { default: Promise.resolve() }, 'its default export has no member "summary"'],
    ['a list', { default: [source] }, 'its default export is a list where'],
    ['no summary', { default: without('summary') }, 'has no member "summary" (a string, one sentence)'],
    ['no config', { default: without('config') }, 'has no member "config" (a zod schema of its keys'],
    ['no streams', { default: without('streams') }, 'has no member "streams" (a function)'],
    ['no create', { default: without('create') }, 'has no member "create" (a function)'],
    [
      'streams as a list',
      { default: { ...source, streams: [] } },
      '"streams" of its default export is a list where a fu',
    ],
    [
      'tuning as a word',
      { default: { ...source, tuning: 'a' } },
      '"tuning" of its default export is a string where a l',
    ],
    ['a bare object as config', { default: { ...source, config: {} } }, '"config" of its default export is an object'],
    ['zod/mini', { default: { ...source, config: mini.object({}) } }, 'was made with zod/mini; use `import { z } from'],
    ['zod 3', { default: { ...source, config: z3.object({}) } }, 'was made with zod 3; use `import { z } from'],
  ])('not %s', (_title, found, problem) => {
    expect(definitionProblem(found, 'source')).toContain(problem)
  })

  test('a source is no destination', () => {
    expect(definitionProblem({ default: source }, 'destination')).toBe(
      'its default export is a source, not a destination',
    )
  })
})

describe('what a file says beside that is kept', () => {
  async function fileOf(members: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'bizon-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const file = join(folder, 'x.mjs')
    const zod = JSON.stringify(import.meta.resolve('zod'))
    await writeFile(
      file,
      `import * as z from ${zod}\nexport default { summary: 'S.', config: z.object({}), ${members} }\n`,
    )
    return file
  }

  test('of a source, why it gives objects', async () => {
    const file = await fileOf(
      `streams: () => [], create: () => ({}), parses: (_, stream) => stream + ' is made', ignored: { a: 'b' }`,
    )
    const source = await customSource(file)
    expect(source.parses?.({}, 'orders')).toBe('orders is made')
    expect(source.ignored).toEqual({ a: 'b' })
  })

  test('of a destination, that it can only add, its alias, and that it looks into records', async () => {
    const file = await fileOf(`create: () => ({}), parses: () => 'it counts', appendOnly: true, alias: 'mine'`)
    const destination = await customDestination(file)
    expect(destination).toMatchObject({ appendOnly: true, alias: 'mine' })
    expect(destination.parses?.({ destinationId: 'x', unnest: false, recordSchemas: [] })).toBe('it counts')
  })
})
