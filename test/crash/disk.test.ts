// Disks that fail: full, in the middle of a row or at any single write; and a sync that reports lost data, once, and
// then all is well again. The run ends with an error, and once there is room the next one goes on.

import { afterAll, describe, expect, test } from 'vitest'
import { finish, prepare, resume } from './kill.ts'
import { stateOf } from './oracle.ts'
import { lines, pipelineFile, type Scenario } from './scenario.ts'
import { type Call, callsOf, canTrace, interfere } from './strace.ts'
import { eachOf, NIGHTLY, type Workspace } from './workspace.ts'

const [main, sidecar] = [{ path: 'out/records.json', holds: 'six columns' } as const, 'out/.records.state.json']

function appending(title: string, earlier: string, all: string, pageBytes: number): Scenario {
  const config = pipelineFile({ mode: 'incremental' }).replace('page_bytes: 4096', `page_bytes: ${pageBytes}`)
  return {
    title,
    earlier: { 'pipeline.yml': config, 'source.ndjson': earlier },
    files: { 'source.ndjson': all },
    targets: [{ ...main, before: earlier, after: all }],
    meanwhile: 'part of what was added',
    sidecar,
  }
}

describe('the output grows beyond what there is room for', () => {
  const all = lines(0, 6000)
  const scenario = appending('large', lines(0, 60), all, 256 * 1024)

  test.each(NIGHTLY ? [700, 1000, 1500] : [1000])(
    'of %d KiB: exit 1, what is committed stays, and the next run goes on',
    async (kib) => {
      const place = await prepare(scenario)
      try {
        const limited = await place.bizon({ under: ['bash', '-c', `ulimit -f ${kib}; exec "$@"`, 'limited'] })
        expect(limited).toMatchObject({ code: 1, stderr: expect.stringMatching(/^Error: cannot write to .*records/m) })
        expect(limited.stderr).not.toMatch(/\n\s+at /)
        const { checkpoints } = await stateOf(place)
        const { page = 0, end } = checkpoints.at(-1) ?? {}
        expect(page).toBeGreaterThan(0)
        expect(end).toBe(false)
        expect(await resume(place, scenario)).toEqual([])
        expect((await stateOf(place)).jobs).toHaveLength(2)
      } finally {
        await place.remove()
      }
    },
  )
})

const small = appending('small', lines(0, 20), lines(0, 48), 4096)
const traced = await canTrace()
const prepared = traced ? await prepare(small) : undefined
const calls = prepared ? await callsOf(prepared, small) : []
afterAll(async () => prepared?.remove())

/** Where an error must end the run: the output, and not SQLite's files, which it may put right by itself. */
const isOutput = ({ path }: Call): boolean => /^out\/(?!.*lock)|^out$/.test(path)

describe.concurrent.each([
  { error: 'ENOSPC', of: calls.filter(({ name }) => ['pwrite64', 'write'].includes(name)) },
  { error: 'EIO', of: calls.filter(({ name }) => ['fsync', 'fdatasync'].includes(name)) },
])('a disk that answers $error once', ({ error, of }) => {
  test.each(of)('at $name of $path, each of $times times: exit 1, and the next run goes on', async (call) => {
    const complaints = await eachOf(sample(call), async (at) => {
      const place = await (prepared as Workspace).copy()
      try {
        const { code, stderr } = await interfere(place, small, call, at, `error=${error}`)
        const fails = code === 1 && /^Error: /.test(stderr) && !/\n\s+at /.test(stderr)
        // What SQLite does by itself may also succeed: tidying up at the end, a lock's journal.
        if (!fails && (code !== 0 || isOutput(call))) return [`call ${at}: exit ${code} ${stderr}`]
        return (await resume(place, small)).map((complaint) => `call ${at}: ${complaint}`)
      } finally {
        await place.remove()
      }
    })
    expect(complaints).toEqual([])
  })
})

/** SQLite's writes are many and alike. */
function sample(call: Call): number[] {
  const all = Array.from({ length: call.times }, (_, at) => at + 1)
  if (isOutput(call)) return NIGHTLY ? all : [call.times]
  return NIGHTLY ? all.filter((at) => at % 12 === 1) : [Math.min(2, call.times)]
}

test('a sync that fails is not tried again', async () => {
  if (!prepared) return
  const place = await prepared.copy()
  try {
    const before = (await stateOf(place)).checkpoints.length
    const call = { name: 'fdatasync', path: 'out/records_incremental.json' }
    const { code } = await interfere(place, small, call, 2, 'error=EIO')
    expect(code).toBe(1)
    expect((await stateOf(place)).checkpoints.length).toBe(before + 1)
    expect(await finish(place, small)).toMatchObject({ code: 0 })
  } finally {
    await place.remove()
  }
})
