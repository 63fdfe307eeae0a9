// bizon verify as a user runs it: what it prints, its exit codes, and what a run killed on its way, or a pipe, leaves for it.

import { afterAll, expect, test } from 'vitest'
import { lines, pipelineFile } from '../crash/scenario.ts'
import { BIZON, type Ended, inTurn, ROOT, TEST_LIMIT_MS, Workspace } from '../crash/workspace.ts'

const places: Workspace[] = []
afterAll(async () => {
  for (const place of places) await place.remove()
})

const VERIFIED = `${pipelineFile({ mode: 'full_refresh' })}verify: true\n`

async function folder(config = VERIFIED): Promise<Workspace> {
  const place = await Workspace.create({ 'pipeline.yml': config, 'source.ndjson': lines(0, 110) })
  places.push(place)
  return place
}

const verify = (place: Workspace, ...args: string[]): Promise<Ended> =>
  place.execute([process.execPath, BIZON, 'verify', 'pipeline.yml', ...args])

test('what is as it was loaded, and what is not', async () => {
  const place = await folder()
  expect(await place.bizon()).toMatchObject({ code: 0 })
  expect(await verify(place)).toEqual({
    code: 0,
    signal: null,
    stdout: 'ok  out/records.json  110 rows\nverified 110 rows\n',
    stderr: '',
  })
  const good = (await place.read('out/records.json'))?.toString() ?? ''
  await place.write({ 'out/records.json': good.replace('42.10', '42.11') })
  const { code, stdout, stderr } = await verify(place)
  expect(code).toBe(1)
  expect(stdout).toMatch(
    /^no {2}out\/records\.json {2}110 rows\n {4}out\/records\.json: row 43 \(".*"\) of run [0-9a-f]{32} is not as loaded\n$/,
  )
  expect(stderr).toMatch(/^Error: what is published is not what was loaded: out\/records\.json: row 43 .*\nTry: /)
  const told = await verify(place, '--json')
  expect(told.code).toBe(1)
  expect(JSON.parse(told.stdout)).toMatchObject({ rows: 110, differences: [{ kind: 'changed', rows: [43], count: 1 }] })
})

test('without digests it is content with counts only when told to', async () => {
  const place = await folder(pipelineFile({ mode: 'full_refresh' }))
  expect(await place.bizon()).toMatchObject({ code: 0 })
  const refused = await verify(place)
  expect(refused).toMatchObject({
    code: 2,
    stdout: '??  out/records.json  110 rows\ncounted 110 rows, each once; values were not compared\n',
  })
  expect(refused.stderr).toMatch(/^Error: values could not be compared: run \w+ kept no digests .*\nTry: --counts/)
  expect(await verify(place, '--counts')).toMatchObject({
    code: 0,
    stdout: 'ok  out/records.json  110 rows\ncounted 110 rows, each once\n',
  })
  await place.write({
    'out/records.json': (await place.read('out/records.json'))?.toString().replace(/.*\n/, '') ?? '',
  })
  expect(await verify(place, '--counts')).toMatchObject({ code: 1, stdout: expect.stringContaining('109 rows of 110') })
  const bare = await folder(pipelineFile({ mode: 'full_refresh', destination: ['metadata: none'] }))
  expect(await bare.bizon()).toMatchObject({ code: 0 })
  expect(await verify(bare, '--counts')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(
      'counted 110 rows (without ids: one that is missing would make up for another that is there twice)',
    ),
  })
})

test('of rows whose records have no ids it says just that', async () => {
  const place = await folder(
    `${pipelineFile({ mode: 'full_refresh', destination: ['metadata: airbyte'] })}verify: true\n`,
  )
  expect(await place.bizon()).toMatchObject({ code: 0 })
  expect(await verify(place)).toMatchObject({
    code: 0,
    stdout: 'ok  out/records.json  110 rows\nverified 110 rows (values alone: ids of records are not kept)\n',
  })
})

test('what cannot be reached is no damage', async () => {
  const place = await folder(
    VERIFIED.replace(
      /^destination:\n(.*\n)*?(?=engine:)/m,
      'destination:\n  name: postgres\n  config:\n    url: postgresql://nobody@127.0.0.1:9/none\n',
    ),
  )
  await place.write({ 'with.yml': VERIFIED })
  expect(await place.execute([process.execPath, BIZON, 'run', 'with.yml', '-q'])).toMatchObject({ code: 0 })
  expect(await verify(place)).toMatchObject({ code: 2, stderr: expect.stringContaining('127.0.0.1') })
})

test(
  'a run that was killed, at any of these points, and resumed',
  async () => {
    const points = [
      'fetch.after@4',
      'fsync.after@3',
      'commit.after@3',
      'cursor.before@2',
      'publish.mid',
      'status.before',
    ]
    const complaints = await Promise.all(
      points.map((point) =>
        inTurn(async () => {
          const place = await folder()
          const killed = await place.bizon({ failpoint: `${point}:kill` })
          if (killed.signal !== 'SIGKILL') return [`${point} did not fire`]
          const early = await verify(place)
          if (early.code !== 2) return [`${point}: verified before its end: ${early.stdout}${early.stderr}`]
          await place.bizon()
          const { code, stdout, stderr } = await verify(place)
          return code === 0 && stdout.endsWith('verified 110 rows\n') ? [] : [`${point}: ${stdout}${stderr}`]
        }),
      ),
    )
    expect(complaints.flat()).toEqual([])
  },
  TEST_LIMIT_MS,
)

test(
  'a later run that was killed is not judged once it may be published, and before that the one before it is',
  async () => {
    const points = { 'fetch.after@2': 0, 'cursor.before@2': 0, 'publish.mid': 2, 'status.before': 2 }
    const complaints = await Promise.all(
      Object.entries(points).map(([point, expected]) =>
        inTurn(async () => {
          const place = await folder()
          await place.bizon()
          await place.write({ 'source.ndjson': lines(0, 130) })
          const killed = await place.bizon({ failpoint: `${point}:kill` })
          if (killed.signal !== 'SIGKILL') return [`${point} did not fire`]
          const { code, stdout, stderr } = await verify(place)
          const isSaid =
            expected === 2
              ? stderr.includes('has not ended, and part of it may be visible')
              : /^verified 110 rows\n$/m.test(stdout) && /^run \w+ has not ended/m.test(stderr)
          return code === expected && isSaid ? [] : [`${point}: ${code} ${stdout}${stderr}`]
        }),
      ),
    )
    expect(complaints.flat()).toEqual([])
  },
  TEST_LIMIT_MS,
)

test('what came through a pipe, killed in the middle', async () => {
  const place = await folder()
  const node = JSON.stringify(process.execPath)
  const pipe = `${node} ${ROOT}/dist/bin/bizon-extract.js pipeline.yml -q | BIZON_FAILPOINT=$1 ${node} ${ROOT}/dist/bin/bizon-load.js pipeline.yml -q`
  await place.execute(['bash', '-c', pipe, 'pipe', 'commit.after@4:kill'])
  expect(await place.execute(['bash', '-c', `set -o pipefail; ${pipe}`, 'pipe', ''])).toMatchObject({ code: 0 })
  expect(await verify(place)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^verified 110 rows$/m) })
})

test('a stream that goes on: what is behind its last checkpoint does not count', async () => {
  const place = await folder(`${pipelineFile({ mode: 'stream' })}verify: true\n`)
  expect(await place.bizon({ failpoint: 'stage.mid@3:kill' })).toMatchObject({ signal: 'SIGKILL' })
  const { code, stdout, stderr } = await verify(place)
  expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringMatching(/^verified \d+ rows/m) })
  const committed = Number(/^verified (\d+) rows/m.exec(stdout)?.[1])
  expect(committed).toBeGreaterThan(0)
  expect(committed).toBeLessThan(110)
})

test('targets that records name are each verified', async () => {
  const config = `${pipelineFile({ mode: 'stream' })}verify: true\n`
    .replace(/name: file\n {2}stream: records/, 'name: dummy\n  stream: creatures')
    .replaceAll(/ {2}(path|page_bytes|poll_interval): .*\n/g, '')
    .replace('out/records', 'creatures')
  const place = await folder(config)
  expect(await place.bizon()).toMatchObject({ code: 0 })
  expect(await verify(place)).toMatchObject({
    code: 0,
    stdout: 'ok  creatures.json  3 rows\nok  routed.json     2 rows\nverified 5 rows\n',
  })
  await place.write({ 'routed.json': (await place.read('routed.json'))?.toString().replace('froggy', 'frogga') ?? '' })
  expect(await verify(place)).toMatchObject({ code: 1, stdout: expect.stringMatching(/^no {2}routed\.json/m) })
})

test('while a run is under way it is refused', async () => {
  const place = await folder()
  const held = await place.bizon({
    failpoint: 'commit.after@2:stop',
    async during(child) {
      const { until, isStopped } = await import('../crash/workspace.ts')
      await until('the run is asleep', () => isStopped(child), child)
      expect(await verify(place)).toMatchObject({ code: 3 })
      child.kill('SIGCONT')
    },
  })
  expect(held).toMatchObject({ code: 0 })
})
