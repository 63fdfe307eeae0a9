// `replace_scope`, killed where it is published: readers see the old content or the new, never a scope without its rows. A
// twin that removes and adds in two steps must be found.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { scopeScenarios } from './batches.ts'
import * as postgres from './postgres.ts'
import * as sqlite from './sqlite.ts'
import { buildTwin, checkReplacements } from './twin.ts'
import { eachOf, NIGHTLY, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

const { postgresScope, sqliteScope } = scopeScenarios

let table: Workspace
let trial: postgres.Trial
beforeAll(async () => {
  ;[table, trial] = await Promise.all([sqlite.prepare(sqliteScope), postgres.Trial.prepare(postgresScope)])
}, TEST_LIMIT_MS)
afterAll(async () => {
  await table.remove()
  await trial.remove()
})

const PUBLISH = ['publish.mid@1', 'publish.mid@2']
const points = NIGHTLY ? [...PUBLISH, 'stage.after@2', 'commit.mid@3', 'publish.before', 'publish.after'] : PUBLISH

test(
  'sqlite: killed where it is published, it is resumed to the exact rows',
  async () => {
    expect(await eachOf(points, (point) => sqlite.crash(table, sqliteScope, [point]))).toEqual([])
  },
  TEST_LIMIT_MS,
)

test(
  'postgres: killed where it is published, it is resumed to the exact rows',
  async () => {
    expect(await eachOf(points, (point) => postgres.crash(trial, postgresScope, [point]))).toEqual([])
  },
  TEST_LIMIT_MS,
)

const IN_TWO_STEPS = [
  {
    file: 'connectors/destinations/sqlite/publish.ts',
    find: 'await site.scope.clear(session, table, staging)',
    replace:
      'await site.scope.clear(session, table, staging)\n      await session.commit()\n      await session.begin()',
  },
]

test(
  'is found: the rows of a scope go before the new ones come',
  async () => {
    await checkReplacements(IN_TWO_STEPS)
    const twin = await buildTwin('scope-in-two-steps', IN_TWO_STEPS)
    try {
      const complaints = await sqlite.crash(table, sqliteScope, ['publish.mid@1'], twin.program)
      expect(complaints.filter((text) => text.includes('neither the old nor the new'))).not.toEqual([])
    } finally {
      await twin.remove()
    }
  },
  TEST_LIMIT_MS,
)
