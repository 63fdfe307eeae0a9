// bizon chaos on a pipeline with child tables, whose rows name each other.

import { expect, test } from 'vitest'
import { pipelineFile } from '../crash/scenario.ts'
import { BIZON, TEST_LIMIT_MS, Workspace } from '../crash/workspace.ts'
import { dropDatabase, freshDatabase } from '../support/services/postgres.ts'

/** Every other record has a list; some come again without it. */
const line = (n: number, v: number): string =>
  `{"id":"${n}","v":${v},"items":[${v === 0 && n % 2 === 0 ? '{"sku":"a"}' : ''}]}\n`
const from = (first: number, count: number, v = 0): string =>
  Array.from({ length: count }, (_, at) => line(first + at, v)).join('')

async function chaos(target: string, source: string, only: string, env: Record<string, string> = {}) {
  const config = pipelineFile({ mode: 'incremental' })
    .replace('page_bytes: 4096', 'page_bytes: 200')
    .replace(
      /^destination:\n(.*\n)*?(?=engine:)/m,
      `destination:\n  name: ${target}\n    unnest: tables\n    buffer_size: 0\n`,
    )
  const place = await Workspace.create({ 'pipeline.yml': config, 'source.ndjson': source })
  try {
    const kills = ['--kills', '1', '--only', `second run: ${only}`, '--seed', '5', '--with', 'none']
    return await place.execute([process.execPath, BIZON, 'chaos', 'pipeline.yml', ...kills], env)
  } finally {
    await place.remove()
  }
}

const RIGHT = { code: 0, stdout: expect.stringMatching(/ lost 0 · doubled 0 · changed 0\n/) }

test.each(['', '    primary_key: [id]\n'])(
  'a run that finds something loaded is right: %s',
  async (key) => {
    const { code, stdout, stderr } = await chaos(
      `sqlite\n  config:\n    path: data.sqlite3\n${key}`.trimEnd(),
      from(0, 40),
      'publish',
    )
    expect({ code, stdout, stderr }).toMatchObject(RIGHT)
  },
  TEST_LIMIT_MS,
)

test(
  'readers may see fewer rows while records are merged that lose their lists',
  async () => {
    const database = await freshDatabase()
    try {
      const { code, stdout, stderr } = await chaos(
        'postgres\n  config:\n    url: env://PG_URL\n    primary_key: [id]\n    cursor_field: v\n    visibility: batch',
        from(0, 40) + from(0, 20, 1) + from(40, 20),
        'cursor.after@7',
        { PG_URL: database.url },
      )
      expect({ code, stdout, stderr }).toMatchObject(RIGHT)
    } finally {
      await dropDatabase(database)
    }
  },
  TEST_LIMIT_MS,
)
