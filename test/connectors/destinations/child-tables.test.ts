// `unnest: tables` in a config: who knows it, and with which other keys.

import { describe, expect, it } from 'vitest'
import { hideRun, linksOf, orphanedTables } from '../../../connectors/destinations/child-tables.ts'
import { loadConfig, type PipelineConfig } from '../../../lib/config.ts'
import { RawJson } from '../../../lib/record.ts'

const TARGETS = {
  sqlite: { path: 'target.sqlite3' },
  postgres: { url: 'postgres://me@localhost/db' },
  file: { format: 'json' },
}

const configOf = (name: keyof typeof TARGETS, keys: object): Promise<PipelineConfig> =>
  loadConfig(
    {
      name: 'orders',
      source: { name: 'file', stream: 'orders', path: 'orders.ndjson' },
      destination: { name, config: { ...TARGETS[name], ...keys } },
    },
    ['source', 'destination'],
  ) as Promise<PipelineConfig>

describe.each(['sqlite', 'postgres'] as const)('%s', (name) => {
  it.each([
    [{ unnest: 'tables' }, 10],
    [{ unnest: 'tables', unnest_depth: 3 }, 3],
  ])('takes %o', async (keys, depth) => {
    const { options } = (await configOf(name, keys)).destination
    expect(options).toMatchObject({ unnest: 'columns', unnestDepth: depth })
  })

  it('has none of it without', async () => {
    expect((await configOf(name, { unnest_depth: 3 })).destination.options).not.toHaveProperty('unnestDepth')
  })

  it.each([
    [{ metadata: 'none' }, 'with metadata none rows have no id by which those of child tables could name them'],
    [
      { replace_scope: ['id'] },
      'with replace_scope rows take the place of others, and rows of lists have no scope; add rows, or replace them all',
    ],
  ])('refuses it with %o', async (keys, why) => {
    await expect(configOf(name, { unnest: 'tables', ...keys })).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining(`destination.config.unnest: tables cannot be: ${why}`),
    })
  })
})

it('is refused where there are no child tables', async () => {
  await expect(configOf('file', { unnest: 'tables' })).rejects.toMatchObject({
    code: 'config',
    message: expect.stringContaining(
      'destination.config.unnest: tables cannot be: destination "file" has no child tables',
    ),
  })
})

it('names rows as readers of the other columns expect', () => {
  expect(Object.values(linksOf({ metadata: 'dlt' }))).toEqual(['_dlt_parent_id', '_dlt_root_id', '_dlt_list_idx'])
  expect(Object.values(linksOf({ metadata: 'bizon' }))).toEqual(['_bizon_parent_id', '_bizon_root_id', '_bizon_index'])
})

it('says of a row what is the same in every run', () => {
  const id = '0123456789abcdef00000000000000a7'
  const row = RawJson.from(`{"_bizon_parent_id": "${id}", "x": "${id}", "_bizon_root_id":"${id}", "_bizon_index": 1}`)
  hideRun(row, linksOf({ metadata: 'bizon' }))
  const hidden = '000000000000000000000000000000a7'
  expect(row.parse()).toEqual({ _bizon_parent_id: hidden, x: id, _bizon_root_id: hidden, _bizon_index: 1 })
})

describe('a child table is without parents', () => {
  const options = { metadata: 'bizon', unnestDepth: 10 }
  const roots = ['orders', 'orders__old', 'refunds']
  const children = ['orders__items', 'orders__items__tags', 'orders__old__items', 'refunds__items']
  const columnsOf = (table: string) => (roots.includes(table) ? ['id'] : ['_bizon_root_id', 'sku'])
  const published = [...roots, ...children]

  it.each([
    ['when they are replaced', ['orders'], ['orders__items', 'orders__items__tags']],
    ['when none of them is there any more', ['orders', 'orders__items'], ['orders__items__tags']],
    ['of records of their own', ['orders__old'], ['orders__old__items']],
    ['when all are replaced', roots, children],
    ['never when nothing is', [], []],
  ])('%s', (_, staged, expected) => {
    expect(orphanedTables(options, { staged, published, columnsOf })).toEqual(expected)
  })

  it('in whatever spelling', () => {
    const found = orphanedTables(options, {
      staged: ['Orders'],
      published: ['ORDERS', 'orders__Items'],
      columnsOf: (table) => (/items/i.test(table) ? ['_bizon_root_id'] : []),
      fold: (name) => name.toLowerCase(),
    })
    expect(found).toEqual(['orders__Items'])
  })

  it('only where there are child tables', () => {
    expect(orphanedTables({ metadata: 'bizon' }, { staged: ['orders'], published, columnsOf })).toEqual([])
  })
})
