// The tests of the kafka destination, tested: twins with one fault each must be found, where the program passes.

import { describe, expect, test } from 'vitest'
import { freshTopic } from '../support/kafka.ts'
import { Case, kafkaScenarios, lookBack } from './kafka.ts'
import type { Mutant } from './mutants.ts'
import { buildTwin, checkReplacements } from './twin.ts'
import { BIZON, fewOf, inTurn, isStopped, TEST_LIMIT_MS, until } from './workspace.ts'

type Look = (program: string) => Promise<string[]>

const { kafkaStream } = kafkaScenarios
const FILE = 'connectors/destinations/kafka.ts'

async function inCase(work: (one: Case) => Promise<string[]>): Promise<string[]> {
  const topic = await freshTopic()
  const one = await Case.prepare(kafkaStream, topic)
  try {
    const complaints = await work(one)
    return [...complaints, ...(await lookBack(topic, new Map([['', one]])))]
  } finally {
    await one.remove()
  }
}

const kills =
  (...failpoints: readonly string[]): Look =>
  (program) =>
    inCase((one) => one.crash(failpoints, program))

/**
 * The first process sleeps with a transaction that lacks nothing but its commit, while another one takes over; it wakes when
 * that one knows where to go on, and commits.
 */
const zombie: Look = (program) =>
  inCase(async (first) => {
    const complaints: string[] = []
    await first.run({
      program,
      failpoint: 'commit.mid@3:stop',
      async during(sleeper) {
        await until('the first sleeps', () => isStopped(sleeper), sleeper)
        const second = await first.elsewhere()
        try {
          const { code } = await second.finish({
            program,
            failpoint: 'commit.before@1:stop',
            async during(child) {
              await until('the second sleeps', () => isStopped(child), child)
              const ended = new Promise((resolve) => sleeper.once('exit', resolve))
              sleeper.kill('SIGCONT')
              sleeper.kill('SIGTERM')
              await ended
              child.kill('SIGCONT')
            },
          })
          if (code !== 143) complaints.push(`the second ended with ${code}`)
        } finally {
          await second.remove()
        }
      },
    })
    return complaints
  })

const mutants: Readonly<Record<string, Mutant & { readonly look: Look }>> = {
  stateOutside: {
    title: 'the state record is committed after the messages, not with them',
    replacements: [
      {
        file: FILE,
        find: "    this.#before('state')\n",
        replace: "    this.#before('state')\n    await producer.commit()\n    await producer.begin()\n",
      },
    ],
    look: kills('commit.mid@3'),
  },
  noFence: {
    title: 'the state is taken as it was before the other producer was fenced',
    replacements: [
      {
        file: FILE,
        find: 'const found = await topic.read(client, signal)',
        replace: 'const found = seen',
      },
      { file: 'connectors/kafka/producer.ts', find: 'await (await this.#client.transaction()).abort()', replace: '' },
    ],
    look: zombie,
  },
  idempotentOnly: {
    title: 'messages are not in the transaction, only sent once by each process',
    replacements: [
      {
        file: 'connectors/kafka/producer.ts',
        find: '= (this.#transaction ?? this.#client).sendBatch(',
        replace: '= (topic?.startsWith("_") ? (this.#transaction ?? this.#client) : this.#client).sendBatch(',
      },
    ],
    look: kills('stage.after@3'),
  },
}

test.each(Object.entries(mutants))('%s: what it replaces is there', (_, { replacements }) =>
  checkReplacements(replacements),
)

test('a zombie that wakes when another process has taken over writes nothing', async () => {
  expect(await inTurn(() => zombie(BIZON))).toEqual([])
})

describe.concurrent.each(fewOf(Object.entries(mutants), 2))(
  '%s',
  { timeout: TEST_LIMIT_MS },
  (name, { title, replacements, look }) => {
    test(`is found: ${title}`, async () => {
      const twin = await inTurn(() => buildTwin(`kafka-${name}`, replacements))
      try {
        // A kill that did not happen proves nothing about what follows one.
        const complaints = await inTurn(() => look(twin.program))
        expect(complaints.filter((text) => !text.includes('did not fire'))).not.toEqual([])
      } finally {
        await twin.remove()
      }
    })
  },
)
