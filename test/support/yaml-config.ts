// Loads YAML text through a real file and a small table of connectors, and gives back what was said about it.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod'
import { planned, queues } from '../../connectors/index.ts'
import { type ConfigOverrides, type ConfigPart, loadConfig, type PipelineConfig } from '../../lib/config.ts'
import { type DestinationDefinition, defineDestination } from '../../lib/destination.ts'
import { BizonError } from '../../lib/errors.ts'
import type { Connectors } from '../../lib/registry.ts'
import { defineSource, type SourceDefinition } from '../../lib/source.ts'
import type { StoreDefinition } from '../../lib/state.ts'

const unopened = (): never => {
  throw new Error('a config is loaded without creating anything')
}

const zoo = defineSource({
  summary: 'Declares its streams.',
  config: z.strictObject({ sleep: z.number().min(0).default(0) }),
  streams: () => [{ name: 'creatures' }, { name: 'plants', incremental: true }],
  create: unopened,
})

const anything = defineSource({
  summary: 'Takes any stream, and paths.',
  config: z.strictObject({
    path: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
    password: z.string().optional(),
  }),
  streams: () => [{ name: '*', incremental: true }],
  create: unopened,
})

const secure = defineSource({
  summary: 'Has an authentication of its own.',
  config: z.strictObject({
    authentication: z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('api_key'), params: z.strictObject({ token: z.string().min(1) }) }),
      z.strictObject({
        type: z.literal('basic'),
        params: z.strictObject({ username: z.string(), password: z.string() }),
      }),
    ]),
  }),
  streams: () => [{ name: 'all' }],
  create: unopened,
})

const logger = defineDestination({
  summary: 'Has hardly a key.',
  config: z.strictObject({ dummy: z.string().nullish() }),
  create: unopened,
})

const file = defineDestination({
  summary: 'Has some keys.',
  config: z.strictObject({
    format: z.literal('json').default('json'),
    metadata: z.enum(['bizon', 'none']).default('bizon'),
  }),
  create: unopened,
})

const entry =
  <Definition>(definition: Definition) =>
  async () => ({ default: definition })
const store: StoreDefinition = { summary: 'Keeps nothing.', create: unopened }

export const connectors: Connectors = {
  sources: {
    zoo: entry<SourceDefinition>(zoo),
    anything: entry<SourceDefinition>(anything),
    secure: entry<SourceDefinition>(secure),
  },
  destinations: { file: entry<DestinationDefinition>(file), logger: entry<DestinationDefinition>(logger) },
  stores: { postgres: entry(store), sqlite: entry(store), sqlite_in_memory: entry(store) },
  queues,
  planned,
}

/** A folder for one test, removed afterwards. */
export async function inFolder<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'bizon-config-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export interface Given {
  readonly parts?: readonly ConfigPart[]
  readonly overrides?: ConfigOverrides
}

export function load(yaml: string | Uint8Array, { parts = ['source', 'destination'], overrides }: Given = {}) {
  return inFolder(async (folder) => {
    const path = join(folder, 'config.yml')
    await writeFile(path, yaml)
    return (await loadConfig(path, parts, overrides, connectors)) as PipelineConfig
  })
}

/** The error's lines, each with `config.yml` for the whole path; none when the config is valid. */
export async function problemsOf(yaml: string | Uint8Array, given: Given = {}): Promise<string[]> {
  const error = await load(yaml, given).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error === undefined) return []
  if (!(error instanceof BizonError) || error.code !== 'config') throw error
  return error.message.split('\n').map((line) => line.replace(/^\S*\/config\.yml/, 'config.yml'))
}

/** A valid pipeline of seven lines; blocks are replaced as a whole. */
export function pipeline({
  source = 'source:\n  name: zoo\n  stream: creatures\n',
  destination = 'destination:\n  name: logger\n  config: {}\n',
  rest = '',
}: {
  source?: string
  destination?: string
  rest?: string
} = {}): string {
  return `name: tiny\n${source}${destination}${rest}`
}

/** A pipeline with these keys from line 5 on, in a source that knows `plants` as incremental. */
export const withSource = (keys: string): string =>
  pipeline({ source: `source:\n  name: zoo\n  stream: plants\n${indent(keys, 2)}` })

/** A pipeline with these keys from line 8 on, under `destination.config`. */
export const withConfig = (keys: string): string =>
  pipeline({ destination: `destination:\n  name: file\n  config:\n${indent(keys, 4)}` })

/** A pipeline with this text from line 9 on, under `engine`. */
export const withEngine = (text: string): string => pipeline({ rest: `engine:\n${indent(text, 2)}` })

const indent = (text: string, by: number): string => `${text.replace(/^/gm, ' '.repeat(by))}\n`
