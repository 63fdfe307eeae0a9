import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import * as mini from 'zod/mini'
import { z as z3 } from 'zod/v3'
import { definitionProblem } from '../../../lib/custom/definition.ts'

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
