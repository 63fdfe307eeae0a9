// The loader and the JSON Schema come from the same definitions, and must say the same of a pipeline: every key is
// tried with values that fit and values that do not. The language server judges for the schema.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { destinationConfigSchema, destinationSchema, sourceSchema } from '../../lib/config-schema.ts'
import { jsonSchemaOf } from '../../lib/json-schema-of.ts'
import type { JsonObject } from '../../lib/record.ts'
import { LanguageServer } from '../support/language-server.ts'
import { CHECKOUT } from '../support/sandbox.ts'
import { blocks } from './config-page.ts'
import { everyConnector } from './connector-pages.ts'
import { leastOf, type Sample, samplesOf } from './samples.ts'
import { complaintsOf, problemsOf } from './verdicts.ts'

/** What only the loader can say: it knows more than the shape of one value. */
const ONLY_THE_LOADER: readonly { readonly rule: string; readonly said: RegExp }[] = [
]

const FOLDER = join(CHECKOUT, 'examples')
const HEAD = '# yaml-language-server: $schema=../docs/bizon.schema.json\n'
/** Documents that the server looks at together: it waits before each. */
const AT_ONCE = 100

let server: LanguageServer
beforeAll(async () => {
  server = await LanguageServer.start()
})
afterAll(() => server.stop())

interface Pipeline {
  readonly what: string
  readonly config: JsonObject
}

/** Where the two disagree, but for what only the loader can say. */
async function disagreements(pipelines: readonly Pipeline[], used: Set<string>): Promise<string[]> {
  const found: string[] = []
  for (let i = 0; i < pipelines.length; i += AT_ONCE) {
    const some = pipelines.slice(i, i + AT_ONCE)
    const judged = await Promise.all(
      some.map(async ({ what, config }) => ({
        what,
        problems: await problemsOf(config),
        complaints: await complaintsOf(HEAD + JSON.stringify(config), server, FOLDER),
      })),
    )
    for (const { what, problems, complaints } of judged) {
      const inShape = problems.filter((problem) => {
        const known = ONLY_THE_LOADER.find(({ said }) => said.test(problem))
        if (known) used.add(known.rule)
        return known === undefined
      })
      if (complaints.length > 0 && problems.length === 0) found.push(`${what}: only the editor: ${complaints.join('; ')}`)
      if (complaints.length === 0 && inShape.length > 0) found.push(`${what}: only the loader: ${inShape.join('; ')}`)
    }
  }
  return found
}

const connectors = await everyConnector()
const sourceOf = (keys: JsonObject = {}) => ({ name: 'dummy', stream: 'generator', ...keys })
const pipelineOf = (keys: JsonObject): JsonObject => ({ name: 'x', source: sourceOf(), destination: { name: 'logger' }, ...keys })

const corpora: Readonly<Record<string, readonly Pipeline[]>> = {
  'every key of every source': [
    ...within(samplesOf(jsonSchemaOf(sourceSchema)), (keys) => pipelineOf({ source: sourceOf({ ...keys, name: 'dummy', stream: 'generator' }) })),
  ],
}

function within(samples: readonly Sample[], place: (keys: JsonObject) => JsonObject): Pipeline[] {
  return samples.map(({ what, keys }) => ({ what, config: place(keys) }))
}
