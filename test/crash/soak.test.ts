// A stream from Kafka as it runs for days: nothing lost, nothing twice, no more memory than at first, nothing to do when nothing
// comes, and no wait when something does.

import { describe, expect, test } from 'vitest'
import type { Mutant } from './mutants.ts'
import { complaintsOf, type SoakOptions, soak } from './soak.ts'
import { buildTwin, checkReplacements } from './twin.ts'
import { fewOf, NIGHTLY, TEST_LIMIT_MS } from './workspace.ts'

const large = { bursts: [24_000], silenceSeconds: 1.5 }
const options: SoakOptions = NIGHTLY
  ? { seconds: 1800, bursts: [0, 100, 1000, 5000], silenceSeconds: 6, restarts: 20 }
  : { ...large, seconds: 20, restarts: 2 }

test(
  `for ${options.seconds} s, while the broker is killed ${options.restarts} times`,
  async () => {
    const found = await soak(options)
    if (NIGHTLY) {
      const { sent, memory, latencies } = found
      const most = [memory, latencies].map((numbers) => Math.round(Math.max(...numbers)))
      process.stdout.write(`${sent} messages, at most ${most[0]} MiB, at most ${most[1]} ms to be seen\n`)
    }
    expect(complaintsOf(found), found.said).toEqual([])
    expect(found.restarts).toBe(options.restarts)
  },
  TEST_LIMIT_MS,
)

/** By night: each takes half a minute. */
const mutants: readonly (Mutant & { readonly options: Omit<SoakOptions, 'restarts'>; readonly complaint: RegExp })[] = [
  {
    title: 'the client looks all the time whether it may send something',
    replacements: [
      { file: 'connectors/kafka/mend.ts', find: 'if (this.pending.length > 0) schedule', replace: 'schedule' },
    ],
    options: { ...large, bursts: [100], seconds: 3 },
    complaint: /wakes up/,
  },
  {
    title: 'pages are kept',
    replacements: [
      {
        file: 'connectors/sources/kafka/gathering.ts',
        find: 'const spans: readonly Span[] = this.#spans',
        replace:
          'const spans: readonly Span[] = this.#spans\n    const all = globalThis as { kept?: Span[] }\n    all.kept = [...(all.kept ?? []), ...spans]',
      },
    ],
    options: { ...large, seconds: 20 },
    complaint: /MiB more/,
  },
  {
    title: 'the broker waits until it has much to send',
    replacements: [
      { file: 'connectors/sources/kafka.ts', find: 'minBytes: settings.minBytes', replace: 'minBytes: 1 << 20' },
    ],
    options: { ...large, bursts: [100], seconds: 3 },
    complaint: /a message takes/,
  },
]

test.each(mutants)('what it replaces is there: $title', ({ replacements }) => checkReplacements(replacements))

describe.each(fewOf(mutants, 0))('$title', ({ title, replacements, options, complaint }) => {
  test(
    'is found',
    async () => {
      const twin = await buildTwin(title, replacements)
      try {
        const found = await soak({ ...options, restarts: 0, program: twin.program })
        expect(complaintsOf(found)).toContainEqual(expect.stringMatching(complaint))
      } finally {
        await twin.remove()
      }
    },
    TEST_LIMIT_MS,
  )
})
