// The public contract of destinations: the file destination keeps it, and twins of it break one rule each.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as z from 'zod'
import file from '../../../connectors/destinations/file.ts'
import type { Checkpoint } from '../../../lib/checkpoint.ts'
import { type Destination, type DestinationDefinition, defineDestination, type Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { verifyDestination } from '../../../lib/verify/destination.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-verify-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function published(): Promise<string[]> {
  const text = await readFile(join(folder, 'letters.json'), 'utf8').catch(() => '')
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).letter]))
}

/** The file destination with some of its methods replaced. */
function twin(change: (whole: Destination) => Partial<Destination>): DestinationDefinition<typeof file.config> {
  return {
    ...file,
    create(config, context) {
      const whole = file.create({ ...config, destinationId: join(folder, 'letters') }, context)
      const methods: Destination = {
        open: (run, signal) => whole.open(run, signal),
        write: (page, signal) => whole.write(page, signal),
        flush: (checkpoint) => whole.flush(checkpoint),
        publish: () => whole.publish(),
        close: () => whole.close(),
      }
      return { ...methods, ...change(whole) }
    },
  }
}

/** A destination in memory, which outlives its processes. */
function memory(published: string[], { fences = false, holds = false }): DestinationDefinition {
  let durable: { run: Run; letters: string[]; checkpoint?: Checkpoint } | undefined
  let before: string[] = []
  return defineDestination({
    summary: 'Memory.',
    config: z.strictObject({}),
    create() {
      let mine: Run
      let pages: string[] = []
      return {
        async open(run) {
          mine = run
          if (durable?.run.id !== run.id) {
            durable = { run, letters: [] }
            before = run.complete ? [] : [...published]
          }
          durable = { ...durable, run }
          return holds ? durable.checkpoint : run.stored
        },
        async write({ records }) {
          pages.push(...records.map(({ id }) => id))
        },
        async flush(checkpoint) {
          if (fences && durable && durable.run.epoch > mine.epoch) throw new BizonError('fenced', 'overtaken')
          durable = { run: mine, letters: [...(durable?.letters ?? []), ...pages], checkpoint }
          pages = []
          return undefined
        },
        publish: async () => void published.splice(0, published.length, ...before, ...(durable?.letters ?? [])),
        close: async () => {},
      }
    },
  })
}

const verify = (definition: DestinationDefinition) =>
  verifyDestination(definition, { config: { metadata: 'none' }, published })

describe('a destination', () => {
  test('that keeps its contract', async () => {
    await expect(verify(twin(() => ({})))).resolves.toBeUndefined()
    expect(await published()).toEqual([])
  })

  test.each<[string, DestinationDefinition, string]>([
    [
      'forgets where it stands',
      twin((whole) => ({ open: async (run, signal) => (await whole.open(run, signal)) && undefined })),
      'open() of run "first" resolved to no checkpoint, where the checkpoint of page 2 was durable',
    ],
    [
      'publishes nothing',
      twin(() => ({ publish: async () => {} })),
      'after a run that was killed before it published, and its resume the target holds nothing, not a, b, c',
    ],
    [
      'publishes when it is closed',
      twin((whole) => ({
        close: () =>
          whole
            .publish()
            .catch(() => {})
            .then(() => whole.close()),
      })),
      'after a run that did not publish the target holds a, b, c, not nothing',
    ],
    [
      'loses a page',
      twin((whole) => ({ write: async (page, signal) => (page.next ? whole.write(page, signal) : undefined) })),
      'the target holds a, not a, b, c',
    ],
    [
      'always adds to what is there',
      twin((whole) => ({
        open: (run, signal) => whole.open({ ...run, mode: 'incremental', complete: false }, signal),
      })),
      'the target holds a, b, c, d, e, f, g, not d, e, f, g',
    ],
    [
      'always replaces',
      twin((whole) => ({
        open: (run, signal) => whole.open({ ...run, mode: 'full_refresh', complete: true }, signal),
      })),
      'the target holds h, not d, e, f, g, h',
    ],
    [
      'loses records of a page',
      twin((whole) => ({
        write: ({ records, ...page }, signal) => whole.write({ ...page, records: records.slice(0, 1) }, signal),
      })),
      'the target holds a, b, not a, b, c',
    ],
    ...(['rows', 'position', 'end', 'watermark'] as const).map((key): [string, DestinationDefinition, string] => [
      `keeps a checkpoint without its ${key}`,
      twin((whole) => ({
        async open(run, signal) {
          const standing = await whole.open(run, signal)
          return standing && { ...standing, rows: standing.rows, [key]: key === 'end' ? false : null }
        },
      })),
      'resolved to {"run":"',
    ]),
    ['is nothing', {} as DestinationDefinition, 'its default export has no member "summary"'],
  ])('that %s', async (_title, definition, message) => {
    await expect(verify(definition)).rejects.toThrow(message)
  })

  test.each<[string, { fences?: boolean; holds?: boolean }, string | undefined]>([
    ['refuses an older process', { fences: true, holds: true }, undefined],
    [
      'lets an older process write',
      { holds: true },
      'flush() after a process with a greater epoch opened: succeeded; it must reject with code fenced',
    ],
    ['holds no checkpoint, and cannot tell an older process', {}, undefined],
  ])('that %s', async (_title, does, message) => {
    const letters: string[] = []
    const verified = verifyDestination(memory(letters, does), { published: async () => letters })
    await (message === undefined
      ? expect(verified).resolves.toBeUndefined()
      : expect(verified).rejects.toThrow(message))
  })

  test('that keeps a reference to the bytes of a page', async () => {
    const lazy = twin((whole) => {
      const kept: (() => Promise<void>)[] = []
      return {
        write: async (page, signal) => void kept.push(() => whole.write(page, signal)),
        async flush(checkpoint) {
          for (const write of kept.splice(0)) await write()
          return whole.flush(checkpoint)
        },
      }
    })
    await expect(verify(lazy)).rejects.toThrow('JSON')
  })
})
