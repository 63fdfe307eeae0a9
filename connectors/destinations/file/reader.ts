// Published files read back as any program would read them: for `bizon verify` and `bizon chaos`. Nothing is asked of the
// state file, nor of the code that wrote them.

import { join, resolve } from 'node:path'
import type { Keeps, Reader, Scratch, StoredRow } from '../../../lib/audit/reader.ts'
import { BizonError, messageOf, systemCode } from '../../../lib/errors.ts'
import type { FileOptions } from '../file.ts'
import { namingOfFile } from './format.ts'
import { shortest } from './paths.ts'
import { readCsv } from './reader/csv.ts'
import { readLines } from './reader/lines.ts'
import { currentOf, readParquet } from './reader/parquet.ts'
import type { Form } from './reader/stored.ts'
import { STDOUT } from './stdout.ts'

/** What readers open, of the target without its extension; and its rows. */
const FORMATS = {
  json: { pathOf: (path: string) => `${path}.json`, read: readLines },
  csv: { pathOf: (path: string) => `${path}.csv`, read: readCsv },
  parquet: { pathOf: currentOf, read: readParquet },
} as const

/** Why a record does not come back as it was given, where its members are columns. */
const CHANGED = {
  csv: 'with unnest: true the cells of CSV do not say whether they are text',
  parquet: 'with unnest: true values have the types of their columns',
} as const

export class FileReader implements Reader {
  readonly keeps: Keeps
  readonly #format: FileOptions['format']
  readonly #form: Form

  constructor(options: FileOptions) {
    const { format, destinationId, unnest, on_empty: onEmpty } = options
    if (destinationId === STDOUT) throw isStdout()
    const naming = namingOfFile(options)
    const { rowId, recordId } = naming
    this.#format = format
    this.#form = { naming, isPlain: unnest !== false || naming.columns.length === 0 }
    const why = format === 'json' || unnest === false ? undefined : CHANGED[format]
    this.keeps = {
      of: why !== undefined ? 'counts' : recordId === undefined ? 'payloads' : 'records',
      inOrder: true,
      ...(format !== 'parquet' && { addsInView: options.visibility === 'batch' ? 'batch' : 'publish' }),
      ...(rowId !== undefined && { ids: true }),
      ...(onEmpty === 'keep' && { onEmpty }),
      ...(why !== undefined && { why }),
    }
  }

  place(destinationId: string): string {
    return shortest(FORMATS[this.#format].pathOf(resolve(destinationId)))
  }

  async *read(destinationId: string, signal: AbortSignal): AsyncGenerator<readonly StoredRow[], void, void> {
    const { pathOf, read } = FORMATS[this.#format]
    const path = pathOf(resolve(destinationId))
    try {
      yield* read(path, this.#form, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (systemCode(error) === 'ENOENT') return
      if (error instanceof BizonError) throw error
      throw new BizonError('destination', `cannot read ${path}: ${messageOf(error)}`, { cause: error })
    }
  }

  async close(): Promise<void> {}
}

/** The same files in another folder, whatever their names. */
export function scratchFiles(options: FileOptions, folder: string): Scratch<FileOptions> {
  if (options.destinationId === STDOUT) throw isStdout()
  const idOf = (id: string): string => join(folder, 'out', `${resolve(id)}`.replaceAll(/[^\w.{}-]+/g, '_'))
  return {
    config: {
      ...options,
      destinationId: idOf(options.destinationId),
      recordSchemas: options.recordSchemas.map((schema) => ({ ...schema, destinationId: idOf(schema.destinationId) })),
    },
    kept: 'folder',
    idOf,
    remove: async () => {},
  }
}

function isStdout(): BizonError {
  return new BizonError('usage', 'what goes to standard output cannot be read back', {
    hint: 'Choose a destination_id that is a file.',
  })
}
