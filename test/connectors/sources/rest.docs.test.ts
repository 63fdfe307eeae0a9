// The pieces of YAML in docs/rest.md are sources that a config may have, and name every key there is.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import * as z from 'zod'
import { endpointSchema, incrementalSchema } from '../../../connectors/sources/rest/config.ts'
import { loadConfig } from '../../../lib/config.ts'
import { CHECKOUT } from '../../support/sandbox.ts'

const page = await readFile(join(CHECKOUT, 'docs/rest.md'), 'utf8')
const blocks = [...page.matchAll(/^```yml\n(.*?)^```$/gms)].map((match) => match[1] ?? '')
process.env.SHOP_TOKEN ??= 'a token'

describe('docs/rest.md', () => {
  test('has pieces of YAML', () => {
    expect(blocks.length).toBeGreaterThanOrEqual(5)
  })

  test.each(blocks.map((block, index) => [index + 1, block] as const))(
    'its piece of YAML %d is valid',
    async (_number, block) => {
      const config = await loadConfig({ name: 'docs', ...parse(block) }, ['source'])
      expect(config.source.name).toBe('rest')
    },
  )

  test.each([
    ['an endpoint', endpointSchema],
    ['incremental', incrementalSchema],
  ])('names every key of %s', (_what, schema) => {
    const keys = Object.keys(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }).properties ?? {})
    const known = ['method', 'schema'] // what they are is plain from their names
    expect(keys.filter((key) => !known.includes(key) && !new RegExp(`\\b${key}\\b`).test(page))).toEqual([])
  })
})
