import { statfsSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// Folders of tests are in memory where it is large enough: what a sync is for is tested by cutting the power of a recorded
// disk, and waiting for a real one takes minutes. Databases are not: a run makes hundreds, of 8 MB each.
process.env.BIZON_TEST_DISK ??= tmpdir()
const MEMORY = '/dev/shm'
const ROOM_BYTES = 2 * 2 ** 30
if (process.env.TMPDIR === undefined && freeBytes(MEMORY) >= ROOM_BYTES) process.env.TMPDIR = MEMORY

/** Files that take minutes, which nothing else would run beside if they came last. */
const LONG = ['bin/cases', 'bin/chaos', 'docs', 'docs/agreement', 'bin/help', 'bin/pipe'].map(
  (name) => `/${name}.test.ts`,
)

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((end) => moduleId.endsWith(end))
      return at < 0 ? LONG.length : at
    }
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other))
  }
}

function freeBytes(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  } catch {
    return 0
  }
}

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/services/set-up.ts'],
    setupFiles: ['test/support/warnings.ts'],
    sequence: { sequencer: LongFirst },
    // One more than there are cores: many tests wait, for servers, syncs and programs that sleep.
    maxWorkers: availableParallelism() + 1,
    // A process for each file would take longer to start than most files.
    isolate: false,
    // For what hangs; nothing is measured by them.
    testTimeout: 300_000,
    hookTimeout: 600_000,
    // .ci/run counts the tests from this file.
    ...(process.env.BIZON_TEST_REPORT && {
      reporters: ['default', 'json'],
      outputFile: { json: process.env.BIZON_TEST_REPORT },
    }),
  },
})
