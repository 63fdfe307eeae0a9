// The loader and the JSON Schema come from the same definitions, and must say the same of a pipeline: every key is
// tried with values that fit and values that do not. The language server judges for the schema.

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type JsonSchema, jsonSchemaOf } from '../../lib/config/json-schema-of.ts'
import { destinationConfigSchema, destinationSchema, pipelineSchema, sourceSchema } from '../../lib/config/schema.ts'
import type { JsonObject } from '../../lib/record.ts'
import { authentication } from '../lib/config-keys/authentication.ts'
import { common } from '../lib/config-keys/common.ts'
import { engine } from '../lib/config-keys/engine.ts'
import { later } from '../lib/config-keys/planned.ts'
import { type KeyGroup, withValue } from '../support/key-cases.ts'
import { LanguageServer } from '../support/language-server.ts'
import { CHECKOUT } from '../support/sandbox.ts'
import { inFolder } from '../support/yaml-config.ts'
import { blocks } from './config-page.ts'
import { type Connector, everyConnector } from './connector-pages.ts'
import { keysText, mappingsIn } from './keys.ts'
import { SCHEMA_LINE } from './page.ts'
import { NAME, type Sample, samplesOf } from './samples.ts'
import { complaintsOf, problemsOf, refinementsOf } from './verdicts.ts'

/**
 * What only the loader can say, since it knows more than the shape of one value; besides the refinements of a schema,
 * which are code. A new rule is added here.
 */
const ONLY_THE_LOADER: readonly { readonly rule: string; readonly said: RegExp }[] = [
  { rule: 'streams ask for sync_mode stream', said: /there are streams, which need/ },
  { rule: 'a run needs both ends', said: /(?:^|[ >])(?:source|destination): is required$/ },
  { rule: 'a stream can be read incrementally', said: /cannot be read incrementally/ },
  { rule: 'a file is not empty', said: /expected a mapping with name, source and destination, got nothing/ },
  { rule: 'a transform has one script', said: /needs one of python|a step has one script/ },
  { rule: 'a custom connector is in a file that can be read', said: /(source|destination)_file_path: / },
  { rule: 'unnest needs columns', said: /true needs columns/ },
  { rule: 'a destination has tables', said: /writes no columns but those of record_schemas|has no child tables/ },
  { rule: 'a host is no URL', said: /is a host name alone: user, password and port have keys of their own$/ },
  { rule: 'topics may be given by streams', said: /source\.topics: is required/ },
  { rule: 'keys of TLS go together', said: /(needs ssl: true|ssl_cert and ssl_key go together)$/ },
  { rule: 'bounds of a number that is written as text', said: /expected an? \w+ (from|of|above) .*, got 1000$/ },
]

const FOLDER = join(CHECKOUT, 'examples')
/** Documents that the server looks at together: it waits before each. */
const AT_ONCE = 100

let server: LanguageServer
beforeAll(async () => {
  server = await LanguageServer.start()
})
afterAll(() => server.stop())

interface Pipeline {
  readonly what: string
  /** A pipeline, or the path of a file with one. */
  readonly config: JsonObject | string
}

interface Verdicts {
  readonly what: string
  readonly problems: readonly string[]
  /** What the refinements of the schemas say. */
  readonly refined: readonly string[]
  readonly complaints: readonly string[]
}

async function judged(pipelines: readonly Pipeline[]): Promise<Verdicts[]> {
  const verdicts: Verdicts[] = []
  for (let i = 0; i < pipelines.length; i += AT_ONCE) {
    const some = pipelines.slice(i, i + AT_ONCE).map(async ({ what, config }) => {
      const text = typeof config === 'string' ? await readFile(config, 'utf8') : JSON.stringify(config)
      const refined = typeof config === 'string' ? [] : refinementsOf(config)
      const complaints = await complaintsOf(SCHEMA_LINE + text, server, FOLDER)
      return { what, problems: await problemsOf(config), refined, complaints }
    })
    verdicts.push(...(await Promise.all(some)))
  }
  return verdicts
}

/** Where the two disagree, but for what only the loader can say. */
function disagreement({ what, problems, refined, complaints }: Verdicts): string[] {
  if (complaints.length > 0) {
    return problems.length > 0 ? [] : [`${what}: only the editor: ${complaints.join('; ')}`]
  }
  const inShape = problems.filter((problem) => {
    if (refined.some((message) => problem.endsWith(message))) return false
    return !ONLY_THE_LOADER.some(({ said }) => said.test(problem))
  })
  return inShape.length === 0 ? [] : [`${what}: only the loader: ${inShape.join('; ')}`]
}

const groups: readonly KeyGroup[] = [...common, ...authentication, ...engine, ...later]
const placeOf = ({ at }: KeyGroup, key: string): string =>
  at === '' || key.startsWith('[') ? `${at}${key}` : `${at}.${key}`

const source = { name: 'dummy', stream: 'generator' }
const destination = { name: 'logger', config: {} }
const whole = (keys: JsonObject): JsonObject => ({ name: 'x', source, destination, ...keys })
const blockOf = (name: string) => blocks().find(({ title }) => title === name)?.schema ?? {}
const tried = (samples: readonly Sample[], place: (keys: JsonObject) => JsonObject): Pipeline[] =>
  samples.map(({ what, keys }) => ({ what, config: place(keys) }))

/** Where a sample has made up a name, one that there is. */
const existing = (keys: JsonObject, names: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(keys).map(([key, value]) => [key, value === `my-${key}` ? (names[key] ?? value) : value]),
  )

const everySources = mappingsIn(jsonSchemaOf(sourceSchema), '', '')
const isCommon = (mapping: JsonSchema): boolean => everySources.has(keysText(mapping))

/** Every key of a connector, in a pipeline that has the rest of what it needs. */
function keysOfConnector({ kind, name, own, streams }: Connector): Pipeline[] {
  const stream = streams.find((one) => one.name !== '*')?.name ?? NAME
  return tried(samplesOf(own, `${kind} ${name}`, isCommon), (keys) =>
    whole(kind === 'source' ? { source: { ...keys, name, stream } } : { destination: { name, config: keys } }),
  )
}

const FOLDERS = ['examples', 'test/cases']
const files = await Promise.all(FOLDERS.map((folder) => readdir(join(CHECKOUT, folder), { recursive: true })))
const pipelineFiles = FOLDERS.flatMap((folder, i) => (files[i] ?? []).map((name) => `${folder}/${name}`))
  .filter((name) => name.endsWith('.yml'))
  .sort()

const corpora: Readonly<Record<string, readonly Pipeline[]>> = {
  'every top-level key': tried(samplesOf(jsonSchemaOf(pipelineSchema)), (keys) => ({ source, destination, ...keys })),
  'every key of every source': tried(samplesOf(jsonSchemaOf(sourceSchema), 'source'), (keys) =>
    whole({ source: existing(keys, source) }),
  ),
  'every key of every destination': tried(samplesOf(jsonSchemaOf(destinationSchema), 'destination'), (keys) =>
    whole({ destination: existing(keys, destination) }),
  ),
  'every key of every destination.config': tried(
    samplesOf(jsonSchemaOf(destinationConfigSchema), 'destination.config'),
    (config) => whole({ destination: { name: 'file', config } }),
  ),
  'every key of engine': tried(samplesOf(blockOf('engine'), 'engine'), (keys) => whole({ engine: keys })),
  ...Object.fromEntries(
    (await everyConnector()).map((connector) => [
      `every key of ${connector.kind} ${connector.name}`,
      keysOfConnector(connector),
    ]),
  ),
  'the examples and the recorded cases': pipelineFiles.map((what) => ({ what, config: join(CHECKOUT, what) })),
  'the tables of accepted and rejected values': groups.flatMap((group) =>
    Object.entries(group.keys).flatMap(([key, [accepted, rejected]]) =>
      [accepted, rejected].map((value) => ({
        what: `${group.title}: ${key}: ${JSON.stringify(value)}`,
        config: withValue(group.base, placeOf(group, key), value) as JsonObject,
      })),
    ),
  ),
}

describe('the loader and the JSON Schema say the same of', () => {
  test.each(Object.entries(corpora))('%s', async (_, pipelines) => {
    const verdicts = await judged(pipelines)
    expect(verdicts.flatMap((verdict) => disagreement(verdict))).toEqual([])
    expect(verdicts.some(({ problems }) => problems.length === 0)).toBe(true)
    expect(verdicts.some(({ complaints }) => complaints.length > 0)).toBe(true)
  })

  test('text, but for words that are booleans in YAML 1.1, which an editor does not know', async () => {
    const text = 'name: yes\nsource: {name: dummy, stream: creatures}\ndestination: {name: logger}\n'
    const problems = await inFolder(async (folder) => {
      await writeFile(join(folder, 'x.yml'), text)
      return problemsOf(join(folder, 'x.yml'))
    })
    expect(problems).toEqual([expect.stringContaining('name: expected a string, got yes, which YAML reads as true')])
    expect(await complaintsOf(SCHEMA_LINE + text, server, FOLDER)).toEqual([])
  })
})
