// `metadata`: what a destination writes of a record beside its payload, and how those columns are called. The one place that
// knows their names; whoever looks for a row's id asks here.

import { InvalidKey, inDestination } from '../../lib/config/invalid-key.ts'
import { BizonError } from '../../lib/errors.ts'
import type { SourceRecord } from '../../lib/record.ts'
import { timestampText } from './record.ts'

/** The names of the Python bizon, none, or those of another program, whose readers then go on as they are. */
export const METADATA = ['bizon', 'none', 'airbyte', 'dlt'] as const
export type Metadata = (typeof METADATA)[number]

export const METADATA_DESCRIPTION =
  '`bizon`: id and times of a record in columns of their own. `none`: its data alone. `airbyte`, `dlt`: columns with the names of these programs, for models that read them; `dlt` needs `unnest`. See docs/metadata.md.'

/** What a column holds. */
export type Fact =
  /** Of the run and the row's number in it: the same whenever the row is written again. */
  | 'rowId'
  | 'extractedAt'
  | 'loadedAt'
  | 'recordId'
  /** The record's own time, else that of its extraction. */
  | 'timestamp'
  | 'run'
  /** `{"changes":[]}`: no value was changed on its way. */
  | 'changes'
  /** `0`. */
  | 'generation'

export interface FactColumn {
  readonly name: string
  readonly fact: Fact
}

export const FACT_TYPES: { readonly [fact in Fact]: 'text' | 'timestamp' | 'json' | 'integer' } = {
  rowId: 'text',
  extractedAt: 'timestamp',
  loadedAt: 'timestamp',
  recordId: 'text',
  timestamp: 'timestamp',
  run: 'text',
  changes: 'json',
  generation: 'integer',
}

type Named = readonly (readonly [name: string, fact: Fact])[]

interface Names {
  /** Beside the payload whole, which then stands last; undefined: there is no such form. */
  readonly whole: Named | undefined
  readonly payload: string
  /** Whether the payload is JSON within a line of JSON; else it is the text of it. */
  readonly isNested?: true
  /** Beside the record's own columns. */
  readonly unnested: Named
}

const TIMES: Named = [
  ['bizon_id', 'rowId'],
  ['bizon_extracted_at', 'extractedAt'],
  ['bizon_loaded_at', 'loadedAt'],
  ['source_record_id', 'recordId'],
  ['source_timestamp', 'timestamp'],
]

const NAMES: { readonly [metadata in Metadata]: Names } = {
  bizon: { whole: TIMES, payload: 'source_data', unnested: TIMES },
  none: { whole: [], payload: 'source_data', unnested: [] },
  airbyte: {
    whole: [
      ['_airbyte_raw_id', 'rowId'],
      ['_airbyte_extracted_at', 'extractedAt'],
      ['_airbyte_loaded_at', 'loadedAt'],
      ['_airbyte_meta', 'changes'],
      ['_airbyte_generation_id', 'generation'],
    ],
    payload: '_airbyte_data',
    isNested: true,
    unnested: [
      ['_airbyte_raw_id', 'rowId'],
      ['_airbyte_extracted_at', 'extractedAt'],
      ['_airbyte_meta', 'changes'],
      ['_airbyte_generation_id', 'generation'],
    ],
  },
  dlt: {
    whole: undefined,
    payload: '',
    unnested: [
      ['_dlt_id', 'rowId'],
      ['_dlt_load_id', 'run'],
    ],
  },
}

export interface Naming {
  readonly metadata: Metadata
  /** Beside the payload, or the record's own columns. */
  readonly columns: readonly FactColumn[]
  /** Column of the payload, where it is whole. */
  readonly payload: string
  readonly isNested: boolean
  /** Names of columns; undefined: there is none. */
  readonly rowId: string | undefined
  readonly recordId: string | undefined
}

export interface NamingOptions {
  readonly metadata: Metadata
  readonly unnest: boolean | 'columns'
}

export function namingOf({ metadata, unnest }: NamingOptions): Naming {
  const { whole, payload, isNested = false, unnested } = NAMES[metadata]
  const named = unnest ? unnested : whole
  if (!named) {
    throw new InvalidKey(
      inDestination('metadata'),
      `${metadata} has no column for a record's payload, and unnest is false`,
      { hint: 'Set unnest: true and name the columns in record_schemas. Or choose another metadata.' },
    )
  }
  const columns = named.map(([name, fact]) => ({ name, fact }))
  const nameOf = (fact: Fact): string | undefined => columns.find((column) => column.fact === fact)?.name
  return { metadata, columns, payload, isNested, rowId: nameOf('rowId'), recordId: nameOf('recordId') }
}

/** What tells one key of merged rows from another, for the name of its index: rows of two keys must not share one. */
export function uniqueOf(options: NamingOptions & { readonly primary_key: readonly string[] }): string {
  const { unnest, primary_key: key } = options
  const { payload } = namingOf(options)
  // As the first versions named it.
  const isUnnested = unnest !== false
  return JSON.stringify(isUnnested || payload === NAMES.bizon.payload ? [isUnnested, key] : [isUnnested, key, payload])
}

/** Its columns as people read them. */
export const listOf = ({ columns }: Naming): string => columns.map(({ name }) => name).join(', ')

/** What all rows of a page have in common, as text. */
export interface PageFacts {
  readonly extractedAt: string
  readonly loadedAt: string
  readonly run: string
  readonly nextId: () => string
}

/** Facts of any text; that of the others is ASCII. */
export const isFree = (fact: Fact): boolean => fact === 'recordId' || fact === 'run'

export function factText(
  fact: Fact,
  { id, timestamp }: Pick<SourceRecord, 'id' | 'timestamp'>,
  page: PageFacts,
): string {
  switch (fact) {
    case 'rowId':
      return page.nextId()
    case 'extractedAt':
      return page.extractedAt
    case 'loadedAt':
      return page.loadedAt
    case 'recordId':
      return id
    case 'timestamp':
      return timestamp === undefined ? page.extractedAt : timestampText(timestamp, id)
    case 'run':
      return page.run
    case 'changes':
      return '{"changes":[]}'
    case 'generation':
      return '0'
  }
}

/**
 * Rejects a target in which rows have the columns of another `metadata`, and not those that these would have: half of them
 * would be empty in every row. `found`: the names of its columns; `isSame`: for names of which several spellings are one.
 */
export function checkNaming(
  { metadata, unnest }: NamingOptions,
  target: string,
  found: readonly string[],
  isSame: (one: string, other: string) => boolean = (one, other) => one === other,
): void {
  const own = namingOf({ metadata, unnest })
  const ours = [...own.columns.map(({ name }) => name), ...(unnest ? [] : [own.payload])]
  const has = (name: string): boolean => found.some((one) => isSame(one, name))
  if (ours.every(has)) return
  for (const other of METADATA) {
    const { whole = [], unnested } = NAMES[other]
    const theirs = [...whole, ...unnested].map(([name]) => name).find((name) => !ours.includes(name) && has(name))
    if (theirs !== undefined) throw otherNaming(target, other, theirs, metadata)
  }
}

/** The same for lines, of which the first column is known. */
export function checkRowId(target: string, found: string, own: string): void {
  const metadataOf = (name: string) => METADATA.find((one) => NAMES[one].unnested[0]?.[0] === name)
  const [other, mine] = [metadataOf(found), metadataOf(own)]
  if (other !== undefined && mine !== undefined) throw otherNaming(target, other, found, mine)
}

function otherNaming(target: string, other: Metadata, column: string, metadata: Metadata): BizonError {
  return new BizonError(
    'edited',
    `${target} has the columns of metadata: ${other} (${column}), and the rows to add have those of metadata: ${metadata}`,
    {
      hint: `Set metadata back to ${other}, or choose another destination_id. Or fetch everything again and replace it with --reset.`,
    },
  )
}
