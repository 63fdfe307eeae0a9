import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/services/set-up.ts'],
    setupFiles: ['test/support/warnings.ts'],
    // Left to itself vitest keeps a core free, which on two cores is half of them.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // .ci/run counts the tests from this file.
    ...(process.env.BIZON_TEST_REPORT && {
      reporters: ['default', 'json'],
      outputFile: { json: process.env.BIZON_TEST_REPORT },
    }),
  },
})
