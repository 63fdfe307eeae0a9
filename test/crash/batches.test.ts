// `visibility: batch`, killed where it commits and where it is published: readers see what was committed, no more and no
// less, and the next run ends with the exact rows; also one that gives the killed one up. Broken twins must be found.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { batchScenarios } from './batches.ts'
import * as files from './kill.ts'
import { stateOf } from './oracle.ts'
import * as postgres from './postgres.ts'
import { line } from './scenario.ts'
import * as sqlite from './sqlite.ts'
import { buildTwin, checkReplacements, type Replacement } from './twin.ts'
import { BIZON, eachOf, fewOf, inTurn, NIGHTLY, TEST_LIMIT_MS, type Workspace } from './workspace.ts'

const { fileBatch, postgresBatch, sqliteBatch } = batchScenarios

let file: Workspace
let table: Workspace
let trial: postgres.Trial
beforeAll(async () => {
  ;[file, table, trial] = await Promise.all([
    files.prepare(fileBatch),
    sqlite.prepare(sqliteBatch),
    postgres.Trial.prepare(postgresBatch),
  ])
}, TEST_LIMIT_MS)
afterAll(async () => {
  await file.remove()
  await table.remove()
  await trial.remove()
})

const COMMITS = ['stage.after@2', 'commit.mid@3', 'cursor.before@2', 'publish.before']
const MORE = ['stage.mid@2', 'commit.before@3', 'commit.after@3', 'cursor.after@2', 'publish.after', 'status.before']
const points = NIGHTLY ? [...COMMITS, ...MORE] : COMMITS

describe('killed where it commits and where it is published, it is resumed to the exact rows', () => {
  test(
    'file',
    async () => {
      const own = [...points, 'fsync.after@2']
      expect(await eachOf(own, (point) => files.crash(file, fileBatch, [point]))).toEqual([])
      expect(await files.crash(file, fileBatch, ['stage.after@2', 'recover.truncate', 'commit.mid@1'])).toEqual([])
    },
    TEST_LIMIT_MS,
  )
  test(
    'sqlite',
    async () => {
      expect(await eachOf(points, (point) => sqlite.crash(table, sqliteBatch, [point]))).toEqual([])
    },
    TEST_LIMIT_MS,
  )
  test(
    'postgres',
    async () => {
      expect(await eachOf(points, (point) => postgres.crash(trial, postgresBatch, [point]))).toEqual([])
    },
    TEST_LIMIT_MS,
  )
})

const bySqlite = async (place: Workspace, sql: string): Promise<string> =>
  (await place.execute(['sqlite3', '-bail', 'data.sqlite3', sql])).stdout

/** What readers see after a kill behind the second commit of rows; then a run that goes on, or gives that one up. */
async function afterKill(program: string, giveUp: boolean): Promise<string[]> {
  const place = await table.copy()
  try {
    await place.bizon({ program, failpoint: 'cursor.after@2:kill' })
    const seen = Number(await bySqlite(place, 'SELECT count(*) FROM records'))
    const { checkpoints, jobs } = await stateOf(place)
    const durable = checkpoints.filter(({ run }) => run === jobs.at(-1)?.id).at(-1)?.rows ?? 0
    const complaints =
      durable > 0 && seen === 60 + durable ? [] : [`${durable} rows are durable, ${seen - 60} are seen`]
    const config = String(await place.read('pipeline.yml'))
    if (giveUp) {
      await place.write({ 'pipeline.yml': config.replace('sync_mode:', 'force_ignore_checkpoint: true\n  sync_mode:') })
    }
    const { code, stderr } = await place.bizon({ program })
    if (code !== 0) complaints.push(`the next run ended with ${code}: ${stderr}`)
    const rows = await bySqlite(place, 'SELECT source_data FROM records ORDER BY rowid')
    if (rows !== sqliteBatch.after) complaints.push('the rows are not those of the source')
    return complaints
  } finally {
    await place.remove()
  }
}

/** The source breaks off at a line that is no JSON: what was complete before stays, and the job has not succeeded. */
async function failedExtract(program: string): Promise<string[]> {
  const place = await table.copy()
  try {
    const whole = sqliteBatch.after
    const at = whole.indexOf(line(100))
    await place.write({ 'source.ndjson': `${whole.slice(0, at)}{"id": broken\n` })
    const { code } = await place.bizon({ program })
    const complaints = code === 1 ? [] : [`the run ended with ${code}`]
    const rows = await bySqlite(place, 'SELECT source_data FROM records ORDER BY rowid')
    if (!whole.startsWith(rows) || rows.length <= String(sqliteBatch.before).length) complaints.push('nothing was kept')
    const { jobs } = await stateOf(place)
    if (jobs.at(-1)?.status === 'succeeded') complaints.push('the job succeeded')
    await place.write({ 'source.ndjson': whole })
    await place.bizon({ program })
    const mended = await bySqlite(place, 'SELECT source_data FROM records ORDER BY rowid')
    if (mended !== whole) complaints.push('the rows are not those of the source')
    return complaints
  } finally {
    await place.remove()
  }
}

type Case = (program: string) => Promise<string[]>
const cases: { readonly [title: string]: Case } = {
  'gone on with': (program) => afterKill(program, false),
  'given up by another run': (program) => afterKill(program, true),
  'left by an extract that fails': failedExtract,
}
test.each(Object.entries(cases))(
  'rows are seen as they are durable, and are there once when the run is %s',
  async (_, look) => {
    expect(await look(BIZON)).toEqual([])
  },
  TEST_LIMIT_MS,
)

const RECOVERY = 'connectors/destinations/recovery.ts'
const twins: Readonly<Record<string, { replacements: readonly Replacement[]; found: keyof typeof cases }>> = {
  'rows of a run that was given up stay': {
    replacements: [
      {
        file: RECOVERY,
        find: "  if (isLastAppend && canUndo) return 'withdrawn'",
        replace: "  if (isPart) return 'stays'\n  if (isLastAppend && canUndo) return 'withdrawn'",
      },
    ],
    found: 'given up by another run',
  },
  'rows are committed without their checkpoint': {
    replacements: [
      {
        file: 'connectors/destinations/sqlite.ts',
        find: 'const next = { ...state, checkpoint, tables, published,',
        replace: 'const next = { ...state, tables, published,',
      },
    ],
    found: 'gone on with',
  },
  'a run that fails takes its rows along': {
    replacements: [
      {
        file: RECOVERY,
        find: "return visibility === 'batch' && mode === 'incremental' && !complete",
        replace: "return visibility === 'batch' && mode === 'incremental' && complete",
      },
    ],
    found: 'left by an extract that fails',
  },
}

test.each(Object.entries(twins))('%s: what it replaces is there', (_, { replacements }) =>
  checkReplacements(replacements),
)

test.each(fewOf(Object.entries(twins), 1))(
  'is found: %s',
  async (title, { replacements, found }) => {
    const twin = await inTurn(() => buildTwin(`batch-${title}`, replacements))
    try {
      expect(await cases[found]?.(twin.program)).not.toEqual([])
    } finally {
      await twin.remove()
    }
  },
  TEST_LIMIT_MS,
)
