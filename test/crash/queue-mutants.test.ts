// The tests of queues, tested: twins with one fault each must be found, where the program passes.

import { describe, expect, test } from 'vitest'
import type { Mutant } from './mutants.ts'
import { inQueued, killExtract, killLoad, type QueuedOptions } from './queued.ts'
import { scenarios } from './scenario.ts'
import { buildTwin, checkReplacements } from './twin.ts'
import { NIGHTLY, TEST_LIMIT_MS } from './workspace.ts'

type Look = (options: QueuedOptions) => Promise<string[]>

const { fullRefreshOver } = scenarios
const undisturbed: Look = (options) =>
  inQueued(fullRefreshOver, options, (queued) => queued.finish(['extract', 'load']))

const mutants: Readonly<Record<string, Mutant & { readonly found: Look }>> = {
  ackAhead: {
    title: 'a message is acknowledged before its page is durable, and where the broker goes on is trusted',
    replacements: [
      {
        file: 'lib/pipe/queue/feed.ts',
        find: 'head.last && head.to <= page)',
        replace: 'head.last && head.to <= page + 1)',
      },
      { file: 'lib/pipe/admit.ts', find: 'if (state.page > page)', replace: 'if (state.page > 9e9)' },
    ],
    found: (options) => killLoad(fullRefreshOver, 'ack.after@2', options),
  },
  stateDropped: {
    title: 'a message lacks the STATE behind one of its pages',
    replacements: [
      {
        file: 'lib/pipe/queue/cut.ts',
        find: '    await this.#lines.write(checkpoint)\n',
        replace: '    if (checkpoint.page !== 2) await this.#lines.write(checkpoint)\n',
      },
    ],
    found: undisturbed,
  },
  uncommitted: {
    title: 'an extract goes on behind what was never committed',
    replacements: [
      {
        file: 'connectors/queues/kafka/producer.ts',
        find: 'const reader = client.reader()',
        replace: "const reader = client.reader({ isolation: 'read_uncommitted' })",
      },
    ],
    found: (options) => killExtract(fullRefreshOver, 'put.mid@3', options),
  },
}

test.each(Object.entries(mutants))('%s: what it replaces is there', (_, { replacements }) =>
  checkReplacements(replacements),
)

describe.concurrent.each(Object.entries(mutants))('%s', { timeout: TEST_LIMIT_MS }, (name, mutant) => {
  test(`is found: ${mutant.title}`, async () => {
    const twin = await buildTwin(`queue-${name}`, mutant.replacements)
    try {
      const complaints = await mutant.found({ programs: twin })
      // A kill that did not happen proves nothing about what follows one.
      expect(complaints.filter((text) => !text.includes('did not fire'))).not.toEqual([])
      // That the program itself passes, queue.test.ts shows by day.
      if (NIGHTLY) expect(await mutant.found({})).toEqual([])
    } finally {
      await twin.remove()
    }
  })
})
