// The matrix of docs/delivery.md, "Changed schemas": each cell.

import { describe, expect, it, test } from 'vitest'
import { changesFor, isMisfit, misfitError, type Policy } from '../../../../connectors/destinations/columns/evolve.ts'
import type { Kind } from '../../../../connectors/destinations/columns/kinds.ts'

const COLUMNS = new Map<string, Kind | undefined>([
  ['flag', 'boolean'],
  ['count', 'integer'],
  ['price', 'number'],
  ['day', 'date'],
  ['at', 'timestamp'],
  ['name', 'text'],
  ['more', 'json'],
  ['theirs', undefined],
])

/** In short: what happens to a table that has all these columns. */
function outcome(name: string, value: Kind, policy: Policy, isReplaced = false): string {
  const changes = changesFor(COLUMNS, new Map([[name, value]]), policy, isReplaced)
  if (isMisfit(changes)) return 'fails'
  const { added, widened, retyped, leftOut } = changes
  if (added.size > 0) return `adds ${added.get(name)}`
  if (retyped.size > 0) return 'becomes another'
  if (widened.size > 0) return `widens to ${widened.get(name)}`
  return leftOut.length > 0 ? 'leaves out' : 'takes it'
}

describe.each([
  // field, value                evolve              freeze        fail
  ['new', 'text', 'adds text', 'leaves out', 'fails'],
  ['new', 'json', 'adds json', 'leaves out', 'fails'],
  ['count', 'integer', 'takes it', 'takes it', 'takes it'],
  ['count', 'number', 'widens to number', 'fails', 'fails'],
  ['count', 'text', 'fails', 'fails', 'fails'],
  ['price', 'integer', 'takes it', 'takes it', 'takes it'],
  ['price', 'boolean', 'fails', 'fails', 'fails'],
  ['flag', 'integer', 'fails', 'fails', 'fails'],
  ['name', 'text', 'takes it', 'takes it', 'takes it'],
  ['name', 'integer', 'fails', 'fails', 'fails'],
  ['name', 'json', 'fails', 'fails', 'fails'],
  ['day', 'text', 'takes it', 'takes it', 'takes it'],
  ['at', 'text', 'takes it', 'takes it', 'takes it'],
  ['at', 'integer', 'fails', 'fails', 'fails'],
  ['more', 'text', 'takes it', 'takes it', 'takes it'],
  ['more', 'json', 'takes it', 'takes it', 'takes it'],
  ['theirs', 'json', 'takes it', 'takes it', 'takes it'],
] as const)('a field %s with %s', (name, value, evolve, freeze, fail) => {
  test.each([
    ['evolve', evolve],
    ['freeze', freeze],
    ['fail', fail],
  ] as const)('%s: %s', (policy, expected) => expect(outcome(name, value, policy)).toBe(expected))
})

describe('in a table that is replaced', () => {
  test.each([
    ['count', 'text', 'becomes another'],
    ['name', 'integer', 'becomes another'],
    ['day', 'integer', 'becomes another'],
    // Its text would be another by then.
    ['at', 'integer', 'fails'],
    ['count', 'number', 'widens to number'],
  ] as const)('a column %s with %s %s', (name, value, expected) => {
    expect(outcome(name, value, 'evolve', true)).toBe(expected)
    expect(outcome(name, value, 'freeze', true)).toBe('fails')
  })
})

describe('a column that is gone from the records', () => {
  test.each(['evolve', 'freeze', 'fail'] as const)('%s: it is null', (policy) => {
    expect(changesFor(COLUMNS, new Map(), policy)).toEqual({
      added: new Map(),
      widened: new Map(),
      retyped: new Map(),
      leftOut: [],
    })
  })
})

test('all changes of a page are found together', () => {
  const seen = new Map<string, Kind>([
    ['one', 'text'],
    ['count', 'number'],
    ['two', 'json'],
    ['name', 'text'],
  ])
  expect(changesFor(COLUMNS, seen, 'evolve')).toEqual({
    added: new Map([
      ['one', 'text'],
      ['two', 'json'],
    ]),
    widened: new Map([['count', 'number']]),
    retyped: new Map(),
    leftOut: [],
  })
})

describe('the error', () => {
  const where = { record: 'r1', table: 'public.t', remedy: 'replace the table with --reset' }

  it('names the record, the field, both types and the remedy', () => {
    const error = misfitError({ name: 'name', value: 'integer', column: 'text' }, where)
    expect(error.message).toBe('record "r1" for public.t: its field "name" is integer, and the column is text')
    expect(error.hint).toContain('--reset')
  })

  it('offers to widen where that helps', () => {
    expect(misfitError({ name: 'count', value: 'number', column: 'integer' }, where).hint).toContain('evolve')
  })

  it('says that there is no column', () => {
    const error = misfitError({ name: 'new', value: 'text', column: undefined }, where)
    expect(error.message).toContain('its field "new" (text) is no column, and on_schema_change is fail')
  })
})
