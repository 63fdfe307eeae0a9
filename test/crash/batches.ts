// For the crash tests: incremental runs whose rows are seen batch by batch, and those that replace by scope.

import { type PostgresScenario, postgresScenarios } from './postgres.ts'
import { line, type Scenario, scenarios } from './scenario.ts'
import { type SqliteScenario, sqliteScenarios } from './sqlite.ts'
import type { Files } from './workspace.ts'

const withKey = (files: Files, key: string): Files => ({
  ...files,
  'pipeline.yml': String(files['pipeline.yml']).replace('buffer_size: 0', `buffer_size: 0\n    ${key}`),
})
const inBatches = (files: Files): Files => withKey(files, 'visibility: batch')

const title = 'incremental, appending, visibility batch'
const meanwhile = 'part of what was added'
const { incrementalAppend } = scenarios
const { postgresAppend } = postgresScenarios
const { sqliteAppend } = sqliteScenarios

const fileBatch: Scenario = {
  ...incrementalAppend,
  title,
  earlier: inBatches(incrementalAppend.earlier as Files),
  meanwhile,
}
const postgresBatch: PostgresScenario = {
  ...postgresAppend,
  title,
  earlier: inBatches(postgresAppend.earlier),
  meanwhile,
}
const sqliteBatch: SqliteScenario = { ...sqliteAppend, title, earlier: inBatches(sqliteAppend.earlier), meanwhile }

export const batchScenarios = { fileBatch, postgresBatch, sqliteBatch }

/** Of the lines with the long `pad` one comes, and takes the place of the two that are there; all other pads are unlike. */
const scoped = ({ files, earlier }: { readonly files: Files; readonly earlier: Files }) => {
  const old = String(earlier['source.ndjson'])
  const long = [line(7), line(47)]
  const kept = old.split('\n').filter((text) => !long.includes(text))
  return {
    title: 'incremental, replacing by scope',
    earlier: withKey(earlier, 'replace_scope: [pad]'),
    after: kept.join('\n') + String(files['source.ndjson']).slice(old.length),
  }
}

const postgresScope: PostgresScenario = { ...postgresAppend, ...scoped(postgresAppend), order: 'key' }
const sqliteScope: SqliteScenario = { ...sqliteAppend, ...scoped(sqliteAppend) }

export const scopeScenarios = { postgresScope, sqliteScope }
