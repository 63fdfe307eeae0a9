// What the loader says of a pipeline, as far as it is about its shape: that a connector is known but not built yet is
// left out, and so is a reference that leads nowhere on this machine.

import { loadConfig } from '../../lib/config.ts'
import { BizonError } from '../../lib/errors.ts'

const ELSEWHERE = /is not built yet; it comes with|the environment variable \w+ is not set/

/** One line for each problem. */
export async function problemsOf(input: string | Readonly<Record<string, unknown>>): Promise<string[]> {
  try {
    await loadConfig(input, ['source', 'destination'])
    return []
  } catch (error) {
    if (!(error instanceof BizonError) || error.code !== 'config') throw error
    return error.message.split('\n').filter((line) => !ELSEWHERE.test(line))
  }
}
