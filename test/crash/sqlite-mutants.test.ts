// The tests of the sqlite destination, tested: twins with one fault each must be found, where the program passes.

import { createHash } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import type { Mutant } from './mutants.ts'
import { stateOf } from './oracle.ts'
import {
  complaintsBetween,
  crash,
  prepare as prepareAnew,
  resume,
  type SqliteScenario,
  sqliteScenarios,
} from './sqlite.ts'
import { buildTwin, checkReplacements } from './twin.ts'
import { BIZON, fewOf, inTurn, isStopped, NIGHTLY, TEST_LIMIT_MS, until, type Workspace } from './workspace.ts'

type Case = (program: string) => Promise<string[]>

const { sqliteFullRefresh, sqliteAppend, sqliteStream } = sqliteScenarios
const FILE = 'connectors/destinations/sqlite.ts'
const STATE = 'connectors/destinations/sqlite/state.ts'

const prepared = new Map<SqliteScenario, Promise<Workspace>>()
afterAll(async () => {
  for (const place of prepared.values()) await (await place).remove()
})

/** The folder as it is before the run that is looked at. */
function prepare(scenario: SqliteScenario): Promise<Workspace> {
  const known = prepared.get(scenario) ?? prepareAnew(scenario)
  prepared.set(scenario, known)
  return known
}

async function inCopy(scenario: SqliteScenario, work: (place: Workspace) => Promise<string[]>): Promise<string[]> {
  const place = await (await prepare(scenario)).copy()
  try {
    return await work(place)
  } finally {
    await place.remove()
  }
}

function kills(scenario: SqliteScenario, ...failpoints: readonly string[]): Case {
  return async (program) => crash(await prepare(scenario), scenario, failpoints, program)
}

/** The extract is stopped before its end: readers must go on seeing what was there. */
const stoppedShort: Case = (program) =>
  inCopy(sqliteFullRefresh, async (place) => {
    const config = (await place.read('pipeline.yml'))?.toString() ?? ''
    await place.write({ 'pipeline.yml': config.replace('sync_mode:', 'max_iterations: 3\n  sync_mode:') })
    await place.bizon({ program })
    const { before } = sqliteFullRefresh
    return complaintsBetween(place, { ...sqliteFullRefresh, after: before }, await stateOf(place))
  })

/** As a newer process on another host would leave the row, while this one is asleep between two transactions. */
const takenOver: Case = (program) =>
  inCopy(sqliteAppend, async (place) => {
    const sqlite3 = async (sql: string): Promise<string> => {
      const { code, stdout, stderr } = await place.execute(['sqlite3', '-bail', 'data.sqlite3', sql])
      if (code !== 0) throw new Error(stderr)
      return stdout
    }
    const { code } = await place.bizon({
      program,
      failpoint: 'cursor.after@3:stop',
      async during(child) {
        await until('it sleeps', () => isStopped(child), child)
        const [row] = JSON.parse(
          await sqlite3(
            "SELECT json_array(json_array(target, epoch + 1000000, state)) FROM _bizon_state WHERE target = 'records'",
          ),
        )
        const sha256 = createHash('sha256').update(JSON.stringify(row)).digest('hex')
        await sqlite3(`UPDATE _bizon_state SET epoch = epoch + 1000000, sha256 = '${sha256}'`)
        child.kill('SIGCONT')
      },
    })
    return code === 3 ? [] : [`it went on, and ended with ${code}`]
  })

const undisturbed: Case = (program) => inCopy(sqliteAppend, (place) => resume(place, sqliteAppend, program))

const mutants: Readonly<Record<string, Mutant & { readonly found: readonly Case[] }>> = {
  stateOutside: {
    title: 'the state row is committed after the rows, not with them',
    replacements: [
      {
        file: STATE,
        find: 'async replace(state: TableState): Promise<string> {',
        replace:
          'async replace(state: TableState): Promise<string> {\n    await this.#session.commit()\n    await this.#session.begin()',
      },
    ],
    found: [kills(sqliteStream, 'commit.mid@3')],
  },
  rowsOutside: {
    title: 'rows are committed as they come',
    replacements: [
      {
        file: FILE,
        find: "      faultPoint('stage.after')",
        replace: "      await session.commit()\n      await session.begin()\n      faultPoint('stage.after')",
      },
    ],
    found: [kills(sqliteFullRefresh, 'stage.after@3')],
  },
  epochUnchecked: {
    title: 'nobody asks whether another process has taken over',
    replacements: [
      { file: STATE, find: 'WHERE target = ? AND sha256 = ?`', replace: 'WHERE target = ? OR sha256 = ?`' },
    ],
    found: [takenOver],
  },
  markOutside: {
    title: 'what is published is committed before the mark of it',
    replacements: [
      {
        file: 'connectors/destinations/sqlite/publish.ts',
        find: 'else await append(site, from, state)',
        replace:
          'else await append(site, from, state)\n    await site.session.commit()\n    await site.session.begin()',
      },
    ],
    found: [kills(sqliteAppend, 'publish.mid')],
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
    found: [kills(sqliteFullRefresh, 'commit.after@4')],
  },
  oldThrownAway: {
    title: 'the old table goes before the new one comes',
    replacements: [
      {
        file: 'connectors/destinations/sqlite/publish.ts',
        find: 'await session.change(`DROP TABLE ${quoteName(table)}`)',
        replace:
          "await session.change(`DROP TABLE ${quoteName(table)}`)\n  await session.commit()\n  faultPoint('publish.mid')\n  await session.begin()",
      },
    ],
    found: [kills(sqliteFullRefresh, 'publish.mid')],
  },
}

test.each(Object.entries(mutants))('%s: what it replaces is there', (_, { replacements }) =>
  checkReplacements(replacements),
)

/** By day, that the program itself passes it, the other crash tests show of kills. */
const isSwept = (look: Case): boolean => !NIGHTLY && look !== stoppedShort && look !== takenOver

describe.concurrent.each(fewOf(Object.entries(mutants)))('%s', (name, { title, replacements, found }) => {
  const isFound = async (): Promise<void> => {
    const twin = await inTurn(() => buildTwin(`sqlite-${name}`, replacements))
    try {
      expect(await inTurn(() => undisturbed(twin.program))).toEqual([])
      for (const look of found) {
        if (!isSwept(look)) expect(await inTurn(() => look(BIZON))).toEqual([])
        // A kill that did not happen proves nothing about what follows one.
        const complaints = await inTurn(() => look(twin.program))
        expect(complaints.filter((text) => !text.includes('did not fire'))).not.toEqual([])
      }
    } finally {
      await twin.remove()
    }
  }
  test(`is found: ${title}`, isFound, TEST_LIMIT_MS)
})
