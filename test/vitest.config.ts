import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/services/set-up.ts'],
    setupFiles: ['test/support/warnings.ts'],
    // One more than there are cores: many tests wait, for servers, syncs and programs that sleep.
    maxWorkers: availableParallelism() + 1,
    testTimeout: 120_000,
    hookTimeout: 300_000,
    // .ci/run counts the tests from this file.
    ...(process.env.BIZON_TEST_REPORT && {
      reporters: ['default', 'json'],
      outputFile: { json: process.env.BIZON_TEST_REPORT },
    }),
  },
})
