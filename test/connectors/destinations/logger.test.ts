import { expect, it } from 'vitest'
import logger from '../../../connectors/destinations/logger.ts'
import type { Run } from '../../../lib/destination.ts'
import { createLog, type LogLevel } from '../../../lib/log.ts'
import { RawJson } from '../../../lib/record.ts'
import type { SyncMode } from '../../../lib/source.ts'

const signal = new AbortController().signal
const shared = { destinationId: '{stream}', unnest: false, recordSchemas: [] }

async function linesOf(mode: SyncMode, level: LogLevel, texts: readonly string[]): Promise<string[]> {
  const lines: string[] = []
  const log = createLog({ level, format: 'json', write: (line) => lines.push(JSON.parse(line).message) })
  const destination = logger.create(
    { ...logger.config.parse({}), ...shared },
    { pipeline: 'p', stream: 's', mode, log },
  )
  const run: Run = { id: 'r', pipeline: 'p', source: 'dummy', stream: 's', mode, epoch: 1, complete: true }
  await destination.open(run, signal)
  await destination.write(
    { records: texts.map((text, i) => ({ id: String(i), data: RawJson.from(text) })), next: null },
    signal,
  )
  await destination.close()
  return lines
}

it.each(['full_refresh', 'incremental', 'stream'] as const)(
  'labels each record with the sync mode, %s',
  async (mode) => {
    expect(await linesOf(mode, 'INFO', ['{"a":1.10}'])).toEqual([`[${mode}] {"a":1.10}`])
  },
)

it('logs no record below level INFO', async () => {
  expect(await linesOf('stream', 'WARNING', ['{}'])).toEqual([])
})

it('keeps a record on one line, so that none can forge another', async () => {
  expect(await linesOf('stream', 'INFO', ['{"a":\r\n1}'])).toEqual(['[stream] {"a": 1}'])
})

it('takes the word of the state store for where it stands, since it holds nothing', async () => {
  const destination = logger.create(
    { ...logger.config.parse({}), ...shared },
    { pipeline: 'p', stream: 's', mode: 'stream', log: createLog({ format: 'json', write: () => {} }) },
  )
  const stored = { run: 'r', page: 3, rows: 30, position: { n: 3 }, end: false }
  const run: Run = {
    id: 'r',
    pipeline: 'p',
    source: 'dummy',
    stream: 's',
    mode: 'stream',
    epoch: 1,
    complete: true,
    stored,
  }
  expect(await destination.open(run, signal)).toEqual(stored)
})
