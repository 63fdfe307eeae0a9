// What a source is told about how it is read.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import * as z from 'zod'
import logger from '../../connectors/destinations/logger.ts'
import { extract, OpenExtract } from '../../lib/extract.ts'
import { silentLog } from '../../lib/log.ts'
import { defineSource, type SourceContext } from '../../lib/source.ts'
import { never } from '../../lib/wait.ts'
import { testConfig } from '../support/engine.ts'

test.each([
  ['the runner thread', 'thread', {}, true],
  ['the runner stream', 'stream', {}, false],
  ['a limit of pages', 'thread', { max_iterations: 1 }, false],
] as const)('with %s a source may read ahead: %s %j %s', async (_what, runner, sourceKeys, expected) => {
  const folder = await mkdtemp(join(tmpdir(), 'bizon-extract-'))
  let told: SourceContext | undefined
  const source = defineSource({
    summary: 'Tells what it was told.',
    config: z.strictObject({}),
    streams: () => [{ name: 'numbers' }],
    create(_options, context) {
      told = context
      return { async *read() {} }
    },
  })
  try {
    const opened = await extract(await testConfig({ folder, source, destination: logger, runner, sourceKeys })).open()
    await opened.close()
    expect(told?.readAhead).toBe(expected)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('a watermark that repeats a secret leaves the source without it, and gets it back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bizon-extract-'))
  let since: unknown
  const source = defineSource({
    summary: 'Repeats what it was asked with.',
    config: z.strictObject({}),
    streams: () => [{ name: 'numbers', incremental: true }],
    create: () => ({
      async *read(from) {
        since = from.since?.value
        yield { records: [], next: null, watermark: { link: 'https://x/?key=sup3rsecret' } }
      },
    }),
  })
  try {
    const config = await testConfig({ folder, source, destination: logger, sourceKeys: { sync_mode: 'incremental' } })
    const opened = new OpenExtract({ ...config, referenced: new Map([['env://KEY', 'sup3rsecret']]) }, silentLog)
    const hidden = { link: 'https://x/?key=***env://KEY***' }
    const from = { since: { time: new Date(), value: hidden } }
    for await (const page of opened.read(from, { signal: never })) expect(page.watermark).toEqual(hidden)
    await opened.close()
    expect(since).toEqual({ link: 'https://x/?key=sup3rsecret' })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
