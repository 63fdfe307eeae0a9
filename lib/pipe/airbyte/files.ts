// The files that are handed to an Airbyte connector: --config, --catalog and --state.

import { readFile } from 'node:fs/promises'
import * as z from 'zod'
import type { ConfigInput } from '../../config.ts'
import { BizonError, messageOf } from '../../errors.ts'
import { parseJson, stringifyJson } from '../../json.ts'
import { type Json, type JsonObject, RawJson } from '../../record.ts'
import { isMapping } from '../../references.ts'
import type { StreamInfo, SyncMode } from '../../source.ts'
import { type PipeState, readState } from '../state.ts'
import { readAirbyteMessage } from './messages.ts'
import type { Catalog } from './read.ts'
import { routeOf } from './talk.ts'

/**
 * The pipeline: the mapping itself, as JSON, or where its YAML file is (`{"pipeline": "<path>"}`). Rejects with code
 * `config` if it is neither.
 */
export async function readConnectorConfig(path: string): Promise<ConfigInput> {
  const value = await readJson('--config', path, 'config')
  if (!isMapping(value)) throw new BizonError('config', `--config: ${path} is no JSON object`)
  const { pipeline, ...rest } = value
  if (pipeline === undefined) return value
  if (typeof pipeline === 'string' && Object.keys(rest).length === 0) return pipeline
  throw new BizonError('config', `--config: ${path}: pipeline must be the path of a YAML file, and stand alone`, {
    hint: 'To give the pipeline itself, leave out this key: {"name": …, "source": …}',
  })
}

const path = z.array(z.string())
const configured = z.object({
  streams: z.array(
    z.object({
      stream: z.object({ name: z.string(), namespace: z.string().nullish(), json_schema: z.unknown().optional() }),
      sync_mode: z.enum(['full_refresh', 'incremental']),
      destination_sync_mode: z.string(),
      primary_key: z.array(path).nullish(),
      generation_id: z.number().nullish(),
      minimum_generation_id: z.number().nullish(),
    }),
  ),
})

/** One stream of a configured catalog. */
export interface ConfiguredStream {
  /** Its name with its namespace, if it has one: where its records go. */
  readonly route: string
  readonly name: string
  readonly mode: SyncMode
  readonly info: StreamInfo
  /** What is loaded replaces what is there; else it is added. Undefined: something else is asked for. */
  readonly replaces: boolean | undefined
  /** As the catalog spells it. */
  readonly asked: string
}

/** The configured catalog: what is to be read, and how it is to be loaded. */
export async function readCatalog(file: string): Promise<readonly ConfiguredStream[]> {
  const parsed = configured.safeParse(await readJson('--catalog', file))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new BizonError('usage', `--catalog: ${file}: ${issue?.path.join('.')}: ${issue?.message}`, {
      hint: 'It is a configured catalog: what discover prints, with a sync_mode and a destination_sync_mode for each stream.',
    })
  }
  return parsed.data.streams.map((one) => {
    const { name, namespace, json_schema: schema } = one.stream
    const route = routeOf({ name, ...(namespace && { namespace }) })
    const keys = (one.primary_key ?? []).flatMap((key) => (key.length === 1 ? key : []))
    return {
      route,
      name,
      mode: one.sync_mode,
      asked: one.destination_sync_mode,
      replaces: replaces(one.destination_sync_mode, one.generation_id, one.minimum_generation_id),
      info: {
        name: route,
        ...(isMapping(schema) && { schema: schema as JsonObject }),
        ...(keys.length > 0 && { primaryKey: keys }),
      },
    }
  })
}

/** How a destination loads them. Rejects what it cannot do. */
export function loadingOf(catalog: readonly ConfiguredStream[]): Catalog {
  for (const { route, asked, replaces } of catalog) {
    if (replaces !== undefined) continue
    throw new BizonError(
      'config',
      `--catalog: stream ${route}: destination_sync_mode ${asked} cannot be done like this`,
      {
        hint: 'Choose overwrite or append.',
      },
    )
  }
  const [first, ...others] = catalog
  const different = others.find(({ replaces }) => replaces !== first?.replaces)
  if (different) {
    throw new BizonError(
      'config',
      `--catalog: ${first?.route} is to be ${first?.asked}, and ${different.route} ${different.asked}: one run does either`,
      { hint: 'Choose the same destination_sync_mode for all streams, or make two connections of them.' },
    )
  }
  return { streams: catalog.map(({ info }) => info), replaces: first?.replaces ?? false }
}

/** Where generations are counted they say it: what is older than the least one is to go. */
function replaces(asked: string, generation?: number | null, least?: number | null): boolean | undefined {
  if (asked !== 'append' && asked !== 'overwrite') return undefined
  if (typeof least !== 'number') return asked === 'overwrite'
  if (least === 0) return false
  return least === generation ? true : undefined
}

/**
 * Where each stream stands: an array of states, as the platform keeps them, or the STATE messages that a destination
 * printed, one a line, of which the last of a stream counts. What is not of ours is not looked at.
 */
export async function readStates(file: string): Promise<ReadonlyMap<string, PipeState>> {
  const text = await readText('--state', file)
  const states = new Map<string, PipeState>()
  for (const payload of statesIn(text, file)) {
    const message = readAirbyteMessage(...whole(`{"type":"STATE","state":${payload}}`))
    if (message.type !== 'STATE' || !message.stream || !message.value) continue
    const state = readState(message.value)
    if (state) states.set(message.stream.name, state)
  }
  return states
}

/** The payloads, as JSON text. */
function statesIn(text: string, file: string): readonly string[] {
  try {
    const parsed = text.trimStart().startsWith('[') ? parseJson(text) : linesOf(text).map((line) => parseJson(line))
    return (parsed as Json[]).map((value) =>
      stringifyJson(isMapping(value) && isMapping(value.state) ? value.state : value),
    )
  } catch (error) {
    throw new BizonError('usage', `--state: ${file} is not JSON: ${messageOf(error)}`, { cause: error })
  }
}

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '')

function whole(text: string): [Buffer, number, number] {
  const { buffer, start, end } = RawJson.from(text)
  return [buffer, start, end]
}

async function readJson(option: string, file: string, code: 'usage' | 'config' = 'usage'): Promise<unknown> {
  const text = await readText(option, file)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new BizonError(code, `${option}: ${file} is not JSON: ${messageOf(error)}`, { cause: error })
  }
}

async function readText(option: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new BizonError('usage', `${option}: cannot read ${file}: ${messageOf(error)}`, { cause: error })
  }
}
