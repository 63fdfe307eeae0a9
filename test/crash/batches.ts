// Incremental runs whose rows are seen batch by batch, for the crash tests.

import { type PostgresScenario, postgresScenarios } from './postgres.ts'
import { type Scenario, scenarios } from './scenario.ts'
import { type SqliteScenario, sqliteScenarios } from './sqlite.ts'
import type { Files } from './workspace.ts'

const inBatches = (files: Files): Files => ({
  ...files,
  'pipeline.yml': String(files['pipeline.yml']).replace('buffer_size: 0', 'buffer_size: 0\n    visibility: batch'),
})

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
