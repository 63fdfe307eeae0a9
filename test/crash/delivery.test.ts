// docs/delivery.md says what these tests prove, no more and no less. `npm run docs` writes its tables anew.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { committed, expectRecorded, region } from '../support/recorded.ts'
import { batchScenarios, scopeScenarios } from './batches.ts'
import { formatScenarios } from './formats.ts'
import { type KafkaScenario, kafkaScenarios } from './kafka.ts'
import { jq, stateOf } from './oracle.ts'
import { pointNames } from './points.ts'
import { type PostgresScenario, postgresScenarios } from './postgres.ts'
import { points, pointTable, promises, promiseTable } from './promises.ts'
import { lines, pipelineFile, type Scenario, scenarios } from './scenario.ts'
import { type SqliteScenario, sqliteScenarios } from './sqlite.ts'
import { BIZON, ROOT, Workspace } from './workspace.ts'

const PAGE = 'docs/delivery.md'

describe('docs/delivery.md', () => {
  test.each([
    ['promises', promiseTable()],
    ['points', pointTable()],
  ])('its table of %s is that of the tests', async (name, table) => {
    const text = await committed(PAGE)
    const before = region(text, name)
    expect(before, `a place for ${name}`).toBeDefined()
    await expectRecorded(
      PAGE,
      text.replace(`-->\n${before}<!-- end of ${name} -->`, `-->\n${table}<!-- end of ${name} -->`),
    )
  })

  test('every fault point of the source is explained, and no other', async () => {
    expect(Object.keys(points).sort()).toEqual([...(await pointNames())].sort())
  })

  test('every promise is proved by a scenario, and every scenario proves one', () => {
    const proofs = promises.flatMap(({ proof }) => proof)
    const every: Readonly<Record<string, Scenario | PostgresScenario | SqliteScenario | KafkaScenario>> = {
      ...scenarios,
      ...formatScenarios,
      ...postgresScenarios,
      ...sqliteScenarios,
      ...kafkaScenarios,
      ...batchScenarios,
      ...scopeScenarios,
    }
    expect([...proofs].sort()).toEqual([...Object.keys(every), 'logger'].sort())
    for (const { readers, proof } of promises) {
      for (const name of proof) {
        if (name === 'logger') continue
        expect(every[name]?.meanwhile !== undefined, name).toBe(readers !== 'the old content or the new')
      }
    }
  })
})

describe('what it says of tests', () => {
  test('names files that there are, and every file of test/crash', async () => {
    const text = await committed(PAGE)
    const part = text.slice(text.indexOf('Which test shows what'), text.indexOf('## Verify'))
    // Words with dashes and dots, below a folder or not; keys of a pipeline file have underscores or colons.
    const named = new Set([...part.matchAll(/`((?:[a-z-]+\/)*[a-z0-9.-]+)`/g)].map(([, name = '']) => name))
    const files = await readdir(join(ROOT, 'test'), { recursive: true })
    const there = new Set(
      files.map((file) => /^(?:crash\/)?(.+?)(?:\.test)?\.ts$/.exec(file)?.[1]).filter((name) => name !== undefined),
    )
    expect([...named].filter((name) => !there.has(name) && !NO_FILES.includes(name))).toEqual([])
    const crash = files.flatMap((file) => /^crash\/(.+)\.test\.ts$/.exec(file)?.[1] ?? [])
    expect(crash.filter((name) => !named.has(name))).toEqual([])
  })
})

/** Commands. */
const NO_FILES: readonly string[] = ['bizon-extract', 'bizon-load']

describe('the logger', () => {
  const ALL = lines(0, 60)

  test.each(['fetch.after@3', 'end.received', 'cursor.before@2', 'cursor.after@2', 'status.before'])(
    'killed at %s, logs each record, and only those since the last checkpoint again',
    async (failpoint) => {
      const config = pipelineFile({ mode: 'full_refresh' }).replace(
        /^destination:\n(.*\n)*?(?=engine:)/m,
        'destination:\n  name: logger\n',
      )
      const place = await Workspace.create({ 'pipeline.yml': config, 'source.ndjson': ALL })
      try {
        const log = async (env: NodeJS.ProcessEnv) => {
          const command = [process.execPath, BIZON, 'run', 'pipeline.yml', '--log-format', 'json']
          const { code, signal, stderr } = await place.execute(command, env)
          await place.write({ log: stderr })
          const program = 'fromjson? | .message | select(startswith("[full_refresh] {")) | ltrimstr("[full_refresh] ")'
          return { code, signal, records: (await jq(place, ['-R', '-r', program, 'log'])).split('\n').slice(0, -1) }
        }
        const first = await log({ BIZON_FAILPOINT: `${failpoint}:kill` })
        expect(first).toMatchObject({ signal: 'SIGKILL' })
        const { checkpoints } = await stateOf(place)
        const second = await log({})
        expect(second).toMatchObject({ code: 0 })
        expect(new Set([...first.records, ...second.records])).toEqual(new Set(ALL.split('\n').slice(0, -1)))
        expect(second.records.length).toBe(60 - (checkpoints.at(-1)?.rows ?? 0))
      } finally {
        await place.remove()
      }
    },
  )
})
