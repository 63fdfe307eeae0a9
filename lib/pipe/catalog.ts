// The catalog of a Singer tap: which streams there are, printed for --discover, and which are to be read, from --catalog.

import { readFile } from 'node:fs/promises'
import { type ConfigInput, loadConfig } from '../config.ts'
import { BizonError, messageOf } from '../errors.ts'
import { isMapping } from '../references.ts'
import { namedStreams, type SyncMode } from '../source.ts'

/** The catalog as JSON: the streams that the source declares. The one that the config names is selected by default. */
export async function singerCatalog(input: ConfigInput): Promise<string> {
  const { source } = await loadConfig(input, ['source'])
  const streams = namedStreams(source.definition.streams(source.options), source.stream)
  return JSON.stringify(
    {
      streams: streams.map(({ name, schema, primaryKey = [], incremental = false }) => ({
        tap_stream_id: name,
        stream: name,
        schema: schema ?? { type: 'object', properties: {} },
        key_properties: primaryKey,
        metadata: [
          {
            breadcrumb: [],
            metadata: {
              inclusion: 'available',
              'selected-by-default': name === source.stream,
              'table-key-properties': primaryKey,
              ...(!incremental && { 'forced-replication-method': 'FULL_TABLE' }),
            },
          },
        ],
      })),
    },
    null,
    2,
  )
}

/** What a catalog asks for of a stream. */
export interface Selected {
  readonly stream: string
  /** Absent: as the pipeline says. */
  readonly syncMode?: SyncMode
}

const METHODS: Readonly<Record<string, SyncMode>> = { FULL_TABLE: 'full_refresh', INCREMENTAL: 'incremental' }

/** The streams that are selected, in the order of the catalog. Rejects when there is none. */
export async function selectedIn(path: string): Promise<readonly [Selected, ...Selected[]]> {
  const entries = (await streamsIn(path)).filter(({ selected }) => selected)
  const [one, ...others] = entries.map((entry) => selectionOf(entry, path))
  if (!one) {
    throw new BizonError('usage', `--catalog: no stream of ${path} is selected`, {
      hint: 'Set "selected": true in the metadata of a stream whose breadcrumb is [].',
    })
  }
  return [one, ...others]
}

function selectionOf({ name, method }: Entry, path: string): Selected {
  const syncMode = METHODS[method ?? '']
  if (method !== undefined && syncMode === undefined) {
    throw new BizonError('usage', `--catalog: ${path}: replication-method ${method} of ${name} is not known`, {
      hint: `Known are ${Object.keys(METHODS).join(' and ')}.`,
    })
  }
  return { stream: name, ...(syncMode && { syncMode }) }
}

interface Entry {
  readonly name: string
  readonly selected: boolean
  readonly method: string | undefined
}

async function streamsIn(path: string): Promise<Entry[]> {
  const refused = (why: string, cause?: unknown): BizonError =>
    new BizonError('usage', `--catalog: ${path}: ${why}`, { cause, hint: 'It is what --discover prints, as JSON.' })
  let catalog: unknown
  try {
    catalog = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw refused(messageOf(error), error)
  }
  const streams = isMapping(catalog) ? catalog.streams : undefined
  if (!Array.isArray(streams)) throw refused('there is no list at streams')
  return streams.map((entry: unknown, index) => {
    const stream = isMapping(entry) ? entry : {}
    const name = stream.tap_stream_id ?? stream.stream
    if (typeof name !== 'string') throw refused(`streams.${index} has no tap_stream_id`)
    const root = rootOf(stream.metadata)
    const method = root['replication-method'] ?? stream.replication_method ?? undefined
    return {
      name,
      selected: (root.selected ?? stream.selected ?? root['selected-by-default'] ?? false) === true,
      method: typeof method === 'string' ? method : undefined,
    }
  })
}

/** What is said of the stream as a whole. */
function rootOf(metadata: unknown): Record<string, unknown> {
  const found = Array.isArray(metadata)
    ? metadata.find((one: unknown) => isMapping(one) && Array.isArray(one.breadcrumb) && one.breadcrumb.length === 0)
    : undefined
  return isMapping(found) && isMapping(found.metadata) ? found.metadata : {}
}
