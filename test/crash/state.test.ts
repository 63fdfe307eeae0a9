// The state in PostgreSQL, with the rows in files and in the same database: killed between what the destination has
// committed and what the state is told, two runs at once, asleep past the lease, set back to an older copy.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { psql } from '../support/services/postgres.ts'
import { type StateScenario, StateTrial, stateScenarios } from './state.ts'
import { buildTwin, type Replacement } from './twin.ts'
import { BIZON, type Ended, isStopped, NIGHTLY, TEST_LIMIT_MS, until } from './workspace.ts'

const POINTS = ['run.created@1', 'cursor.before@2', 'cursor.after@2', 'status.before@1', 'status.after@1']
/** By day. */
const CHOSEN: { readonly [destination in StateScenario['destination']]: readonly string[] } = {
  file: ['cursor.before@2'],
  postgres: ['run.created@1', 'cursor.before@2', 'status.before@1', 'status.after@1'],
}

const prepared = new Map<StateScenario, StateTrial>()
/** The rows of a run that nobody disturbed. */
const expected = new Map<StateScenario, string>()
beforeAll(async () => {
  for (const scenario of Object.values(stateScenarios)) {
    const trial = await StateTrial.prepare(scenario)
    prepared.set(scenario, trial)
    await inCopy(scenario, async (copy) => {
      expect(await copy.run()).toMatchObject({ code: 0 })
      expected.set(scenario, await copy.rows())
    })
  }
}, TEST_LIMIT_MS)
afterAll(async () => {
  for (const trial of prepared.values()) await trial.remove()
})

async function inCopy<Result>(scenario: StateScenario, work: (trial: StateTrial) => Promise<Result>): Promise<Result> {
  const copy = await (prepared.get(scenario) as StateTrial).copy()
  try {
    return await work(copy)
  } finally {
    await copy.remove()
  }
}

/** After the last run: all rows once, no run left over, and the pages counted once. */
async function complaintsAfter(trial: StateTrial, epoch: number, jobs: number): Promise<string[]> {
  const complaints: string[] = []
  const rows = await trial.rows()
  if (rows !== expected.get(trial.scenario)) complaints.push(`the rows are others: ${rows.slice(0, 200)}`)
  const state = await trial.state()
  const statuses = state.jobs.map(({ status }) => status)
  if (statuses.length !== jobs || statuses.some((status) => status !== 'succeeded'))
    complaints.push(`jobs: ${statuses}`)
  const last = state.checkpoints.at(-1)
  if (last?.end !== true || state.written !== last.rows) {
    complaints.push(`${state.written} rows are noted, and the last checkpoint is ${JSON.stringify(last)}`)
  }
  if (!(state.epoch > epoch)) complaints.push(`the epoch went from ${epoch} to ${state.epoch}`)
  return complaints
}

describe.each(Object.values(stateScenarios))('$title', (scenario) => {
  test.each(NIGHTLY ? POINTS : CHOSEN[scenario.destination])(
    'killed at %s, the next run ends with the exact rows',
    async (failpoint) => {
      await inCopy(scenario, async (trial) => {
        expect(await trial.run({ failpoint: `${failpoint}:kill` })).toMatchObject({ signal: 'SIGKILL' })
        const { epoch, jobs } = await trial.state()
        expect(await trial.run()).toMatchObject({ code: 0 })
        // A run that was noted as published is followed by one of its own.
        const isOver = failpoint.startsWith('status.after')
        expect(jobs.map(({ status }) => status)).toEqual(['succeeded', isOver ? 'succeeded' : 'running'])
        if (isOver && scenario.mode === 'incremental') expect(await trial.rows()).toBe(expected.get(scenario))
        else expect(await complaintsAfter(trial, epoch, isOver ? 3 : 2)).toEqual([])
      })
    },
  )
})

/** Stops the first run at the point; what is done meanwhile may look at its pid. */
async function asleep(
  trial: StateTrial,
  failpoint: string,
  meanwhile: (pid: number) => Promise<void>,
  program = BIZON,
): Promise<Ended> {
  return trial.run({
    program,
    failpoint: `${failpoint}:stop`,
    async during(child) {
      await until('it sleeps', () => isStopped(child), child)
      await meanwhile(child.pid ?? 0)
      child.kill('SIGCONT')
    },
  })
}

/** The same pipeline and state on another machine, which has files of its own. */
async function elsewhere(trial: StateTrial, program = BIZON): Promise<Ended> {
  const other = await trial.place.copy()
  try {
    return await other.bizon({ program })
  } finally {
    await other.remove()
  }
}

const { file, table } = stateScenarios

async function secondWhileAsleep(program: string): Promise<string[]> {
  return inCopy(file, async (trial) => {
    let second: Ended | undefined
    let first = 0
    const ended = await asleep(
      trial,
      'cursor.after@2',
      async (pid) => {
        first = pid
        second = await elsewhere(trial, program)
      },
      program,
    )
    const complaints: string[] = []
    if (second?.code !== 3 || !second.stderr.includes(`is locked by pid ${first} `)) {
      complaints.push(`the second run ended with ${second?.code}: ${second?.stderr}`)
    }
    if (ended.code !== 0) complaints.push(`the first run ended with ${ended.code}: ${ended.stderr}`)
    return complaints
  })
}

/** A run elsewhere has ended, while the first slept for longer than its lease was. */
async function wokenTooLate(program: string): Promise<string[]> {
  return inCopy(file, async (trial) => {
    let then: unknown
    const { code, stderr } = await asleep(
      trial,
      'cursor.before@2',
      async () => {
        await psql(trial.database.url, `UPDATE state.bizon_leases SET expires_at = now() - interval '1 s'`)
        const { code: other, stderr: said } = await elsewhere(trial)
        if (other !== 0) throw new Error(`elsewhere it ended with ${other}: ${said}`)
        then = await trial.state()
      },
      program,
    )
    const complaints =
      code === 3 && stderr.includes('a newer run has taken over') ? [] : [`it ended with ${code}: ${stderr}`]
    const now = await trial.state()
    if (JSON.stringify(now) !== JSON.stringify(then)) complaints.push(`it wrote ${JSON.stringify(now)}`)
    if ((await trial.rows()) !== file.before) complaints.push('it published')
    return complaints
  })
}

test('a second run is refused with 3 while the first is asleep, names it, and the first goes on', async () => {
  expect(await secondWhileAsleep(BIZON)).toEqual([])
})

test('a run that slept past its lease, while one elsewhere did the work, changes nothing and exits with 3', async () => {
  expect(await wokenTooLate(BIZON)).toEqual([])
})

test('of two runs that start together one does the work, the other is refused with 3', async () => {
  await inCopy(file, async (trial) => {
    const codes = (await Promise.all([trial.run(), elsewhere(trial)])).map(({ code }) => code)
    // They may also have come one after the other.
    expect([
      [0, 0],
      [0, 3],
      [3, 0],
    ]).toContainEqual(codes)
  })
})

test('an older copy of the state that was put back loses nothing, and doubles nothing', async () => {
  const older = prepared.get(table) as StateTrial
  await inCopy(table, async (trial) => {
    expect(await trial.run()).toMatchObject({ code: 0 })
    const state = await psql(older.database.url, `SELECT string_agg(quote_literal(id), ',') FROM state.stream_jobs`)
    await psql(
      trial.database.url,
      `DELETE FROM state.destination_cursors WHERE job_id NOT IN (${state.trim()});
       DELETE FROM state.stream_jobs WHERE id NOT IN (${state.trim()});
       UPDATE state.bizon_leases SET epoch = (epoch / 10)`,
    )
    const { epoch } = await trial.state()
    expect(await trial.run()).toMatchObject({ code: 0 })
    expect(await complaintsAfter(trial, epoch, 2)).toEqual([])
  })
})

test('a state that was dropped: the next run ends with the exact rows', async () => {
  await inCopy(table, async (trial) => {
    await trial.run({ failpoint: 'cursor.after@2:kill' })
    await psql(trial.database.url, 'DROP SCHEMA state CASCADE; CREATE SCHEMA state')
    const { code, stderr } = await trial.run()
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await trial.rows()).toBe(expected.get(table))
  })
})

test('a state that cannot be reached any more: the run says so, and the next one goes on behind what is durable', async () => {
  await inCopy(file, async (trial) => {
    const { name, url } = trial.database
    const admin = (sql: string): Promise<string> => psql(url.replace(`/${name}`, '/postgres'), sql)
    const { code, stderr } = await asleep(trial, 'cursor.before@2', async () => {
      await admin(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`)
      await admin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`)
    })
    await admin(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`)
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^Error: PostgreSQL at .* \(state\): cannot connect: .*\nTry: See whether/m),
    })
    const { epoch } = await trial.state()
    expect(await trial.run()).toMatchObject({ code: 0 })
    expect(await complaintsAfter(trial, epoch, 2)).toEqual([])
  })
})

test('a state that was edited is told, and nothing is loaded', async () => {
  await inCopy(table, async (trial) => {
    await trial.run({ failpoint: 'cursor.after@2:kill' })
    await psql(
      trial.database.url,
      `UPDATE state.destination_cursors SET checkpoint = replace(checkpoint, '"page":2', '"page":"2"')`,
    )
    const before = await trial.rows()
    const { code, stderr } = await trial.run()
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /destination_cursors of job [0-9a-f]{32} checkpoint: cannot be understood: .*\n.*Try: /s,
      ),
    })
    expect(await trial.rows()).toBe(before)
  })
})

const LEASE = 'connectors/stores/postgres/lease.ts'

describe('a twin is found', () => {
  test.each<[fault: string, replacement: Replacement, find: (program: string) => Promise<string[]>]>([
    [
      'that writes although a newer run has taken over',
      { file: LEASE, find: 'if (count !== 1) throw takenOver(identity)', replace: '' },
      wokenTooLate,
    ],
    [
      'that takes the lease of a run that lives',
      { file: LEASE, find: 'if (rows[0]?.taken !== true) return undefined', replace: '' },
      secondWhileAsleep,
    ],
  ])('%s', async (fault, replacement, find) => {
    const twin = await buildTwin(`state ${fault}`, [replacement])
    try {
      expect(await find(twin.program)).not.toEqual([])
    } finally {
      await twin.remove()
    }
  })
})
