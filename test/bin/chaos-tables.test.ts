// bizon chaos on a pipeline with child tables, whose rows name each other.

import { expect, test } from 'vitest'
import { pipelineFile } from '../crash/scenario.ts'
import { BIZON, TEST_LIMIT_MS, Workspace } from '../crash/workspace.ts'

const RECORDS = Array.from({ length: 40 }, (_, n) => `{"id":"${n}","items":[${n % 3 === 0 ? '{"sku":"a"}' : ''}]}\n`)

test.each(['', 'primary_key: [id]'])(
  'a run that finds something loaded is right: %s',
  async (key) => {
    const config = pipelineFile({ mode: 'incremental' })
      .replace('page_bytes: 4096', 'page_bytes: 300')
      .replace(
        /^destination:\n(.*\n)*?(?=engine:)/m,
        `destination:\n  name: sqlite\n  config:\n    path: data.sqlite3\n    unnest: tables\n    ${key}\n    buffer_size: 0\n`,
      )
    const place = await Workspace.create({ 'pipeline.yml': config, 'source.ndjson': RECORDS.join('') })
    try {
      const kills = ['--kills', '1', '--only', 'second run: publish', '--seed', '5', '--with', 'none']
      const { code, stdout, stderr } = await place.execute([process.execPath, BIZON, 'chaos', 'pipeline.yml', ...kills])
      expect({ code, stdout, stderr }).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/ lost 0 · doubled 0 · changed 0\n/),
      })
    } finally {
      await place.remove()
    }
  },
  TEST_LIMIT_MS,
)
