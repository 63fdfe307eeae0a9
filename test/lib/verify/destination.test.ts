// The public contract of destinations: the file destination keeps it, and twins of it break one rule each.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import file from '../../../connectors/destinations/file.ts'
import type { Destination, DestinationDefinition } from '../../../lib/destination.ts'
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
      'after a run that was killed before it published, and its resume the target holds nothing, not a, b',
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
      'after a run that did not publish the target holds a, b, not nothing',
    ],
    [
      'loses a page',
      twin((whole) => ({ write: async (page, signal) => (page.next ? whole.write(page, signal) : undefined) })),
      'the target holds a, not a, b',
    ],
    [
      'always adds to what is there',
      twin((whole) => ({
        open: (run, signal) => whole.open({ ...run, mode: 'incremental', complete: false }, signal),
      })),
      'the target holds a, b, c, d, e, not c, d, e',
    ],
    [
      'always replaces',
      twin((whole) => ({
        open: (run, signal) => whole.open({ ...run, mode: 'full_refresh', complete: true }, signal),
      })),
      'the target holds f, not c, d, e, f',
    ],
    ['is nothing', {} as DestinationDefinition, 'its default export has no member "summary"'],
  ])('that %s', async (_title, definition, message) => {
    await expect(verify(definition)).rejects.toThrow(message)
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
