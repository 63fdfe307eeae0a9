// Two programs that say whether a pipeline is valid: the loader, and the language server with the JSON Schema.

import { loadConfig } from '../../lib/config.ts'
import { BizonError } from '../../lib/errors.ts'
import type { LanguageServer } from '../support/language-server.ts'

/** Not about the shape: what is not built yet, a reference that leads nowhere on this machine. */
const ELSEWHERE =
  /is not built yet; it comes with|not available in this version|the environment variable \w+ is not set/

/** What the loader says of the shape of a pipeline, one line for each problem. */
export async function problemsOf(input: string | Readonly<Record<string, unknown>>): Promise<string[]> {
  try {
    await loadConfig(input, ['source', 'destination'])
    return []
  } catch (error) {
    if (!(error instanceof BizonError) || error.code !== 'config') throw error
    return error.message.split('\n').filter((line) => !ELSEWHERE.test(line))
  }
}

let documents = 0

/** What an editor shows for a text that begins with the comment that names the schema. */
export async function complaintsOf(text: string, server: LanguageServer, folder: string): Promise<string[]> {
  const path = `${folder}/document-${++documents}.yml`
  const diagnostics = await server.open(path, text)
  server.close(path)
  return diagnostics.map(({ message, range: { start } }) => `${start.line + 1}:${start.character + 1} ${message}`)
}
