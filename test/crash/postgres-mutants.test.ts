// The tests of the postgres destination, tested: twins with one fault each must be found, where the program passes.

import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { psql } from '../support/services/postgres.ts'
import type { Mutant } from './mutants.ts'
import { stateOf } from './oracle.ts'
import { complaintsBetween, crash, type PostgresScenario, postgresScenarios, resume, Trial } from './postgres.ts'
import { buildTwin, checkReplacements } from './twin.ts'
import { BIZON, fewOf, inTurn, isStopped, NIGHTLY, TEST_LIMIT_MS, until } from './workspace.ts'

type Case = (program: string) => Promise<string[]>

const { postgresFullRefresh, postgresAppend, postgresMerge, postgresStream } = postgresScenarios
const FILE = 'connectors/destinations/postgres.ts'
const STATE = 'connectors/destinations/postgres/state.ts'

async function inTrial(scenario: PostgresScenario, work: (trial: Trial) => Promise<string[]>): Promise<string[]> {
  const trial = await Trial.prepare(scenario)
  try {
    return await work(trial)
  } finally {
    await trial.remove()
  }
}

function kills(scenario: PostgresScenario, ...failpoints: readonly string[]): Case {
  return (program) => inTrial(scenario, (trial) => crash(trial, scenario, failpoints, program))
}

/** The extract is stopped before its end: readers must go on seeing what was there. */
const stoppedShort: Case = (program) =>
  inTrial(postgresFullRefresh, async (trial) => {
    const config = (await trial.place.read('pipeline.yml'))?.toString() ?? ''
    await trial.place.write({ 'pipeline.yml': config.replace('sync_mode:', 'max_iterations: 3\n  sync_mode:') })
    await trial.run({ program })
    const { before = '' } = postgresFullRefresh
    return complaintsBetween(trial, { ...postgresFullRefresh, after: before }, await stateOf(trial.place))
  })

/** As a newer process on another host would leave the row, while this one is asleep. */
const takenOver: Case = (program) =>
  inTrial(postgresAppend, async (trial) => {
    const { url } = trial.database
    const { code } = await trial.run({
      program,
      failpoint: 'stage.after@3:stop',
      async during(child) {
        await until('it sleeps', () => isStopped(child), child)
        await psql(url, 'UPDATE _bizon_state SET epoch = epoch + 1000000')
        await psql(url, `UPDATE _bizon_state SET sha256 = '${await hashOf(url)}'`)
        child.kill('SIGCONT')
      },
    })
    return code === 3 ? [] : [`it went on, and ended with ${code}`]
  })

/** The hash by which a row is known to be whole. */
async function hashOf(url: string): Promise<string> {
  const columns =
    'target, owner, pipeline, source, stream, run, epoch, mode, complete, previous, phase, checkpoint, tables, published, published_by'
  const texts = columns.split(', ').map((name) => `${name}::text`)
  const row = await psql(url, `SELECT array_to_json(ARRAY[${texts}]) FROM _bizon_state`)
  return createHash('sha256')
    .update(JSON.stringify(JSON.parse(row)))
    .digest('hex')
}

const undisturbed: Case = (program) => inTrial(postgresAppend, async (trial) => resume(trial, postgresAppend, program))

const mutants: Readonly<Record<string, Mutant & { readonly found: readonly Case[] }>> = {
  stateOutside: {
    title: 'the state row is committed after the rows, not with them',
    replacements: [
      {
        file: STATE,
        find: 'async replace(transaction: Transaction, state: TableState): Promise<string> {',
        replace:
          "async replace(transaction: Transaction, state: TableState): Promise<string> {\n    await transaction.query('COMMIT; BEGIN')",
      },
    ],
    found: [kills(postgresStream, 'commit.mid@3'), kills(postgresFullRefresh, 'commit.mid@3')],
  },
  stateBefore: {
    title: 'the state row is committed before the rows',
    replacements: [
      {
        file: FILE,
        find: '        await this.#batch.send(transaction, state)\n        await this.#batch.merge',
        replace: `        await this.#row.replace(transaction, { ...state, checkpoint, tables: this.#batch.tables(state) })
        await transaction.query('COMMIT; BEGIN')
        await this.#batch.send(transaction, state)\n        await this.#batch.merge`,
      },
      {
        file: STATE,
        find: 'if (rows[0]?.sha256 !== this.#last) throw await this.takenOver(transaction, mine)',
        replace: '',
      },
      { file: STATE, find: 'AND sha256 = $${last}`', replace: 'OR sha256 = $${last}`' },
    ],
    found: [kills(postgresStream, 'stage.after@3'), kills(postgresMerge, 'stage.after@2')],
  },
  epochUnchecked: {
    title: 'nobody asks whether another process has taken over',
    replacements: [{ file: STATE, find: 'AND sha256 = $${last}`', replace: 'OR sha256 = $${last}`' }],
    found: [takenOver],
  },
  markOutside: {
    title: 'what is published is committed before the mark of it',
    replacements: [
      {
        file: 'connectors/destinations/postgres/publish.ts',
        find: 'await publishTable(transaction, site, table, staged, state, use)',
        replace:
          "await publishTable(transaction, site, table, staged, state, use)\n    await transaction.query('COMMIT; BEGIN')",
      },
    ],
    found: [kills(postgresAppend, 'publish.mid'), kills(postgresFullRefresh, 'publish.mid')],
  },
  publishOnEof: {
    title: 'the end of the pages is taken for the end of the data',
    replacements: [
      {
        file: 'lib/load.ts',
        find: 'if (!this.#durable?.end) return this.#open.pause()',
        replace: 'if (!this.#durable) return this.#open.pause()',
      },
      { file: FILE, find: 'if (!state.checkpoint?.end) throw', replace: 'if (!state.checkpoint) throw' },
    ],
    found: [stoppedShort],
  },
  newIds: {
    title: 'rows that are written again have another id',
    replacements: [{ file: FILE, find: 'idPrefixOf(run.id, run)', replace: 'idPrefixOf(String(run.epoch), run)' }],
    found: [kills(postgresFullRefresh, 'commit.after@4')],
  },
}

/** By day one case each; that the program itself passes it, the other crash tests show of kills. */
const casesOf = (found: readonly Case[]): readonly Case[] => (NIGHTLY ? found : found.slice(0, 1))
const isSwept = (look: Case): boolean => !NIGHTLY && look !== stoppedShort && look !== takenOver

test.each(Object.entries(mutants))('%s: what it replaces is there', (_, { replacements }) =>
  checkReplacements(replacements),
)

describe.concurrent.each(fewOf(Object.entries(mutants)))(
  '%s',
  { timeout: TEST_LIMIT_MS },
  (name, { title, replacements, found }) => {
    test(`is found: ${title}`, async () => {
      const twin = await inTurn(() => buildTwin(`postgres-${name}`, replacements))
      try {
        expect(await inTurn(() => undisturbed(twin.program))).toEqual([])
        for (const look of casesOf(found)) {
          if (!isSwept(look)) expect(await inTurn(() => look(BIZON))).toEqual([])
          // A kill that did not happen proves nothing about what follows one.
          const complaints = await inTurn(() => look(twin.program))
          expect(complaints.filter((text) => !text.includes('did not fire'))).not.toEqual([])
        }
      } finally {
        await twin.remove()
      }
    })
  },
)
