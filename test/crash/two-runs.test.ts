// Two runs of one pipeline: the second is refused while the first lives, also when that one is only asleep; and one
// that wakes up after another host has taken over may not write any more.

import { describe, expect, test } from 'vitest'
import { forge } from './forge.ts'
import { finish, prepare, resume } from './kill.ts'
import { type Scenario, scenarios } from './scenario.ts'
import { BIZON, type Ended, fewOf, isStopped, until, type Workspace } from './workspace.ts'

const { fullRefreshOver, incrementalAppend, stream } = scenarios

/** Runs up to the point, where the process stops itself, and does something while it sleeps; then wakes it. */
async function asleepAt(
  place: Workspace,
  scenario: Scenario,
  failpoint: string,
  meanwhile: () => Promise<void>,
): Promise<Ended> {
  return place.bizon({
    args: scenario.args ?? [],
    failpoint: `${failpoint}:stop`,
    async during(child) {
      await until(`it sleeps at ${failpoint}`, () => isStopped(child), child)
      await meanwhile()
      child.kill('SIGCONT')
    },
  })
}

const SLEEPS = fewOf(['commit.mid@3', 'stage.after@3', 'commit.before@3', 'fsync.after@3'], 2)

describe.each([fullRefreshOver, incrementalAppend, stream])('$title', (scenario) => {
  test.each(SLEEPS)(
    'a run that slept at %s while another host took over exits with 3 and changes nothing',
    async (at) => {
      const place = await prepare(scenario)
      try {
        let then: unknown
        const { code, stderr } = await asleepAt(place, scenario, at, async () => {
          await forge(place, scenario.sidecar, (state) => ({ ...state, epoch: state.epoch + 1_000_000 }))
          then = await visible(place, scenario)
        })
        expect({ code, stderr }).toMatchObject({ code: 3, stderr: expect.stringContaining('has taken over') })
        expect(await visible(place, scenario)).toEqual(then)
      } finally {
        await place.remove()
      }
    },
  )
})

/** What readers and other hosts go by. */
async function visible(place: Workspace, { targets, sidecar }: Scenario): Promise<readonly (string | undefined)[]> {
  const paths = [sidecar, ...targets.map(({ path }) => path)]
  return Promise.all(paths.map(async (path) => (await place.read(path))?.toString()))
}

describe.each([fullRefreshOver, incrementalAppend])('$title', (scenario) => {
  test.each(['end.received', 'publish.before'])('a run that slept at %s publishes nothing', async (at) => {
    const place = await prepare(scenario)
    try {
      const before = await place.read(scenario.targets[0]?.path ?? '')
      const { code } = await asleepAt(place, scenario, at, () =>
        forge(place, scenario.sidecar, (state) => ({ ...state, epoch: state.epoch + 1_000_000 })),
      )
      expect(code).toBe(3)
      expect(before?.length).toBeGreaterThan(0)
      expect(await place.read(scenario.targets[0]?.path ?? '')).toEqual(before)
    } finally {
      await place.remove()
    }
  })
})

test('a second run is refused with 3 while the first is asleep, names it, and the first goes on', async () => {
  const place = await prepare(fullRefreshOver)
  try {
    let second: Ended | undefined
    let first: number | undefined
    const ended = await place.bizon({
      failpoint: 'commit.after@3:stop',
      async during(child) {
        first = child.pid
        await until('it sleeps', () => isStopped(child), child)
        second = await place.bizon()
        child.kill('SIGCONT')
      },
    })
    expect(second).toMatchObject({ code: 3, stderr: expect.stringContaining(`pid ${first} `) })
    expect(ended).toMatchObject({ code: 0 })
    expect(await visible(place, fullRefreshOver)).toContain(fullRefreshOver.targets[0]?.after)
  } finally {
    await place.remove()
  }
})

test('another pipeline with the same output is refused while a run of the first is asleep', async () => {
  const place = await prepare(fullRefreshOver)
  try {
    const config = (await place.read('pipeline.yml'))?.toString() ?? ''
    await place.write({
      'other/pipeline.yml': config.replace('name: crash', 'name: other').replace('database: state', 'database: other'),
    })
    let second: Ended | undefined
    const ended = await place.bizon({
      failpoint: 'commit.after@3:stop',
      async during(child) {
        await until('it sleeps', () => isStopped(child), child)
        second = await place.execute([process.execPath, BIZON, 'run', 'other/pipeline.yml', '-q'])
        child.kill('SIGCONT')
      },
    })
    expect(second).toMatchObject({ code: 3, stderr: expect.stringContaining('is locked by') })
    expect(ended).toMatchObject({ code: 0 })
  } finally {
    await place.remove()
  }
})

test('of two runs that start together one does the work, the other is refused with 3', async () => {
  const place = await prepare(fullRefreshOver)
  try {
    const both = await Promise.all([place.bizon(), place.bizon()])
    const codes = both.map(({ code }) => code)
    // They may also have come one after the other.
    expect([
      [0, 0],
      [0, 3],
      [3, 0],
    ]).toContainEqual(codes)
    expect(await visible(place, fullRefreshOver)).toContain(fullRefreshOver.targets[0]?.after)
  } finally {
    await place.remove()
  }
})

test('a killed run keeps nobody out', async () => {
  const place = await prepare(fullRefreshOver)
  try {
    expect(await place.bizon({ failpoint: 'commit.after@3:kill' })).toMatchObject({ signal: 'SIGKILL' })
    expect(await resume(place, fullRefreshOver)).toEqual([])
    expect(await finish(place, fullRefreshOver)).toMatchObject({ code: 0 })
  } finally {
    await place.remove()
  }
})
