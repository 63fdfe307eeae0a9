// Five creatures or plants for a first try, byte for byte those of the Python bizon; and `generator`, any number
// of seeded records for benches and crash tests.

import * as z from 'zod'
import { BizonError } from '../../lib/errors.ts'
import type { JsonObject } from '../../lib/record.ts'
import { defineSource, type Page, type Source, type Start } from '../../lib/source.ts'
import { MOST_SECONDS, sleep } from '../../lib/wait.ts'
import { generate } from './dummy/generator.ts'

const FIRST = 'vfvfvuhfefpeiduzhihxb'
const LAST = 'final-cursor'

type Row = readonly [id: number, name: string, age: number]
interface Answer {
  readonly rows: readonly Row[]
  readonly next: string | null
}

const ANSWERS: Record<string, (cursor: string | undefined) => Answer> = {
  creatures: answers(
    [
      [9898, 'bizon', 26],
      [88787, 'croco', 23],
    ],
    [
      [98, 'froggy', 26],
      [3333, 'turtle', 23],
    ],
    [[56565, 'poulpo', 26]],
  ),
  plants: answers(
    [
      [9898, 'tree', 26],
      [88787, 'flower', 23],
    ],
    [
      [98, 'cactus', 26],
      [3333, 'bamboo', 23],
    ],
    [[56565, 'rose', 26]],
  ),
}

function answers(first: readonly Row[], second: readonly Row[], third: readonly Row[]) {
  return (cursor: string | undefined): Answer => {
    if (!cursor) return { rows: first, next: FIRST }
    return cursor === LAST ? { rows: third, next: null } : { rows: second, next: LAST }
  }
}

const config = z.strictObject({
  authentication: z
    .strictObject({
      type: z.enum(['api_key', 'oauth']).describe('Any of the two.'),
      params: z.record(z.string(), z.unknown()).optional().describe('Anything: nobody is asked.'),
    })
    .optional()
    .describe('Accepted, without effect: there is nobody to authenticate to.'),
  sleep: z.number().min(0).max(MOST_SECONDS).default(0).describe('Seconds to wait before each page.'),
  records: z.number().int().min(0).default(1000).describe('Stream `generator`: how many records.'),
  record_bytes: z
    .number()
    .int()
    .min(64)
    .default(255)
    .describe('Stream `generator`: size of a record as JSON text, in bytes.'),
  page_size: z.number().int().min(1).default(100).describe('Stream `generator`: records a page.'),
  seed: z.number().int().default(1).describe('Stream `generator`: the same seed gives the same records.'),
  fail_at_page: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Stream `generator`: fail when this page is asked for, from 1.'),
})

export default defineSource({
  summary: 'Five records that need no network, or any number of seeded ones; for trying things out.',
  config,
  tuning: ['sleep', 'records', 'fail_at_page'], // with more records it is the same data, grown
  streams: () => [
    { name: 'creatures', resumable: true, primaryKey: ['id'] },
    { name: 'plants', resumable: true, primaryKey: ['id'] },
    { name: 'generator', resumable: true, incremental: true, primaryKey: ['id'] },
  ],
  parses: (_config, stream) => (stream === 'generator' ? undefined : 'its few records are made as objects'),
  create(options, { stream, mode }): Source {
    return {
      async *read(from, signal) {
        const pages = stream === 'generator' ? generate(options, from) : zoo(stream, mode === 'stream', from)
        for (const page of pages) {
          if (options.sleep > 0) await sleep(options.sleep, signal)
          if (signal.aborted) return
          yield page
        }
      },
      count: async () => (stream === 'generator' ? options.records : 5),
    }
  },
})

function* zoo(stream: string, routed: boolean, from: Start): Generator<Page> {
  const answer = ANSWERS[stream]
  if (answer === undefined) throw new BizonError('config', `dummy has no stream ${JSON.stringify(stream)}`)
  let cursor = from.position?.cursor as string | undefined
  for (;;) {
    const { rows, next } = answer(cursor)
    const destination = next === LAST ? 'routed' : stream
    yield {
      records: rows.map(([id, name, age]) => ({
        id: String(id),
        data: { id, name, age } satisfies JsonObject,
        ...(routed && { destinationId: destination }),
      })),
      next: next === null ? null : { cursor: next },
    }
    if (next === null) return
    cursor = next
  }
}
