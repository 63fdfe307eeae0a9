// The connectors against what the APIs really answered, as far as it is on a cassette in examples/data.

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { extract } from '../../../lib/index.ts'
import { CHECKOUT } from '../../support/sandbox.ts'

describe('an example replayed in a script', () => {
  test.each([
    ['pokeapi.yml', 'pokeapi.cassette'],
    ['gbif.yml', 'gbif.cassette'],
    ['rest.yml', 'shop.cassette'],
  ])('%s', async (example, cassette) => {
    const at = (path: string) => join(CHECKOUT, 'examples', path)
    const ids: string[] = []
    let next: unknown
    for await (const page of extract(at(example), { replay: at(`data/${cassette}`) })) {
      ids.push(...page.records.map(({ id }) => id))
      next = page.next
    }
    expect(ids.length).toBeGreaterThan(0)
    expect(new Set(ids).size).toBe(ids.length)
    expect(next).toBeNull()
  })
})
