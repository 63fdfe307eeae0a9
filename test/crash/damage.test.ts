// State that is not as the last run left it: damaged, cut, emptied, deleted, an older copy, another's. The next run
// says so and stops, or goes on from what it can prove; it never loses or repeats a row.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { forge } from './forge.ts'
import { finish, killAt, prepare } from './kill.ts'
import { complaintsAfter, sourceLines, stateOf } from './oracle.ts'
import { type Scenario, scenarios, type Target } from './scenario.ts'
import { fewOf, inTurn, type Workspace } from './workspace.ts'

const { fullRefreshOver, incrementalAppend, stream } = scenarios
const SIDECAR = 'out/.records.state.json'

interface Killed {
  readonly place: Workspace
  /** As it was one kill and two checkpoints before. */
  readonly older: Workspace
}

const folders = new Map<Scenario, Killed>()

beforeAll(async () => {
  for (const scenario of [fullRefreshOver, incrementalAppend, stream]) {
    const place = await prepare(scenario)
    expect(await killAt(place, scenario, 'cursor.after@2')).toEqual([])
    const older = await place.copy()
    expect(await killAt(place, scenario, 'cursor.after@2')).toEqual([])
    folders.set(scenario, { place, older })
  }
})

afterAll(async () => {
  for (const { place, older } of folders.values()) {
    await place.remove()
    await older.remove()
  }
})

/** Works in a folder as a kill in the middle of a run leaves it. */
async function killed(scenario: Scenario, work: (place: Workspace, older: Workspace) => Promise<void>): Promise<void> {
  const { place, older } = folders.get(scenario) as Killed
  const copy = await place.copy()
  try {
    await inTurn(() => work(copy, older))
  } finally {
    await copy.remove()
  }
}

interface Damage {
  readonly title: string
  readonly says: string
  damage(place: Workspace): Promise<void>
}

const bytes = async (place: Workspace, path: string): Promise<Buffer> => (await place.read(path)) ?? Buffer.alloc(0)

/** The state file at these fractions of its length: its first byte, numbers, hashes, its own hash, its line end. */
const flips = fewOf([0, 0.5, 0.999, 0.1, 0.3, 0.7, 0.9]).map((at) => ({
  title: `a bit flipped at ${at * 100} % of the state file`,
  says: `${SIDECAR} is damaged`,
  async damage(place: Workspace) {
    const text = await bytes(place, SIDECAR)
    const index = Math.floor(text.length * at)
    text[index] = (text[index] ?? 0) ^ 1
    await place.write({ [SIDECAR]: text })
  },
}))

const damages: readonly Damage[] = [
  ...flips,
  {
    title: 'half a state file',
    says: `${SIDECAR} is damaged`,
    async damage(place) {
      const text = await bytes(place, SIDECAR)
      await place.write({ [SIDECAR]: text.subarray(0, text.length / 2) })
    },
  },
  { title: 'an empty state file', says: `${SIDECAR} is damaged`, damage: (place) => place.write({ [SIDECAR]: '' }) },
  {
    title: 'no state file',
    says: `${SIDECAR} is missing`,
    async damage(place) {
      await place.execute(['rm', SIDECAR])
    },
  },
  {
    title: 'the state file of another pipeline',
    says: 'belongs to pipeline another/',
    damage: (place) => forge(place, SIDECAR, (state) => ({ ...state, pipeline: 'another' })),
  },
  {
    title: 'a state file of a later format',
    says: 'has format 2',
    damage: (place) => forge(place, SIDECAR, (state) => ({ ...state, format: 2 })),
  },
  {
    title: 'a state store whose first bytes are others',
    says: 'state.sqlite3',
    async damage(place) {
      const database = await bytes(place, 'state.sqlite3')
      database.write('something else', 0)
      await place.execute(['rm', '-f', 'state.sqlite3-wal', 'state.sqlite3-shm'])
      await place.write({ 'state.sqlite3': database })
    },
  },
]

describe.concurrent.each([fullRefreshOver, incrementalAppend, stream])('$title', (scenario) => {
  test.each(damages)('$title: the run says so and changes nothing', async ({ says, damage }) => {
    await killed(scenario, async (place) => {
      await damage(place)
      const before = await output(place)
      const { code, stderr } = await place.bizon({ args: scenario.args ?? [] })
      expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining(says) })
      expect(stderr).toMatch(/^Error: .*\nTry: /m)
      expect(stderr).not.toMatch(/\n\s+at /)
      expect(await output(place)).toBe(before)
    })
  })

  test.each([
    ['the state file', [SIDECAR]],
    ['the state store', ['state.sqlite3', 'state.sqlite3-wal', 'state.sqlite3-shm']],
  ])('an older copy of %s: the run goes on from what is proved, and ends exact', async (_, files) => {
    await killed(scenario, async (place, older) => {
      for (const file of files) {
        await place.execute(['rm', '-f', file])
        const copy = await older.read(file)
        if (copy) await place.write({ [file]: copy })
      }
      const before = await stateOf(place)
      const { code, stderr } = await finish(place, scenario)
      expect({ code, stderr }).toMatchObject({ code: scenario.stopAt === undefined ? 0 : 143 })
      expect(await complaintsAfter(place, scenario, before)).toEqual([])
    })
  })
})

describe.concurrent.each([fullRefreshOver, incrementalAppend])('$title', (scenario) => {
  test.each(fewOf([0.02, 0.6, 0.3, 0.95], 2))(
    'a state store of which %d is left: the run says so and changes nothing, or ends exact',
    async (part) => {
      await killed(scenario, async (place) => {
        await place.execute(['rm', '-f', 'state.sqlite3-wal', 'state.sqlite3-shm'])
        const database = await bytes(place, 'state.sqlite3')
        await place.write({ 'state.sqlite3': database.subarray(0, database.length * part) })
        const before = await output(place)
        const { code, stderr } = await place.bizon()
        if (code === 0) {
          // What was cut off was empty, or an index that no query needed.
          const [target] = scenario.targets
          expect(await sourceLines(place, target as Target)).toBe(target?.after)
          return
        }
        expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('state.sqlite3') })
        expect(stderr).not.toMatch(/\n\s+at /)
        expect(await output(place)).toBe(before)
      })
    },
  )

  test('without its state store a run starts over, and replaces what an unknown one left', async () => {
    await killed(scenario, async (place) => {
      await loseStore(place)
      expect(await finish(place, scenario)).toMatchObject({ code: 0 })
      const [target] = scenario.targets
      expect(await sourceLines(place, target as Target)).toBe(target?.after)
    })
  })
})

test('without its state store a stream goes on behind what is there', async () => {
  await killed(stream, async (place) => {
    const [target] = stream.targets as [Target]
    await loseStore(place)
    expect(await finish(place, stream)).toMatchObject({ code: 143 })
    expect(await sourceLines(place, target)).toBe(target.after)
  })
})

async function loseStore(place: Workspace): Promise<void> {
  await place.execute(['bash', '-c', 'rm -f state.sqlite3*'])
}

/** A hash of all that is in the output folder, locks aside. */
async function output(place: Workspace): Promise<string> {
  const script = 'find out -type f ! -name "*lock*" | sort | xargs sha256sum'
  return (await place.execute(['bash', '-c', script])).stdout
}
