// Published files read back line by line, as any program would read them: for `bizon verify` and `bizon chaos`. Nothing is
// asked of the state file, but where a stream's rows end that count.

import { createReadStream } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Keeps, payloadOf, type Reader, type Scratch, type StoredRow } from '../../../lib/audit/reader.ts'
import { BizonError, messageOf, systemCode } from '../../../lib/errors.ts'
import { members, stringAt, stringOf } from '../../../lib/json.ts'
import { RawJson } from '../../../lib/record.ts'
import type { FileOptions } from '../file.ts'
import type { Naming } from '../naming.ts'
import { namingOfFile } from './format.ts'
import { shortest } from './paths.ts'
import { STDOUT } from './stdout.ts'

const LF = 0x0a
const CHUNK_BYTES = 1 << 18

export class FileReader implements Reader {
  readonly keeps: Keeps
  readonly #naming: Naming
  /** Whether a line is the record alone, or its columns. */
  readonly #isPlain: boolean

  constructor(options: FileOptions) {
    const { format, destinationId, unnest, on_empty: onEmpty } = options
    if (destinationId === STDOUT) {
      throw new BizonError('usage', 'what goes to standard output cannot be read back', {
        hint: 'Choose a destination_id that is a file.',
      })
    }
    if (format !== 'json') {
      throw new BizonError('usage', `files of format ${format} cannot be read back yet`, {
        hint: 'Load to format: json to have it proved; or compare with the program that reads them.',
      })
    }
    const naming = namingOfFile(options)
    this.#naming = naming
    this.#isPlain = unnest || naming.columns.length === 0
    const { rowId, recordId } = naming
    this.keeps = {
      of: recordId === undefined ? 'payloads' : 'records',
      inOrder: true,
      ...(rowId !== undefined && { ids: true }),
      ...(onEmpty === 'keep' && { onEmpty }),
    }
  }

  place(destinationId: string): string {
    return shortest(`${resolve(destinationId)}.json`)
  }

  async *read(destinationId: string, signal: AbortSignal): AsyncGenerator<readonly StoredRow[], void, void> {
    const path = `${resolve(destinationId)}.json`
    try {
      for await (const lines of linesOf(path, signal)) {
        yield lines.map((line) => storedOf(line, this.#naming, this.#isPlain))
      }
    } catch (error) {
      signal.throwIfAborted()
      if (systemCode(error) === 'ENOENT') return
      if (error instanceof BizonError) throw error
      throw new BizonError('destination', `cannot read ${path}: ${messageOf(error)}`, { cause: error })
    }
  }

  async close(): Promise<void> {}
}

async function* linesOf(path: string, signal: AbortSignal): AsyncGenerator<Buffer[], void, void> {
  let rest: Buffer[] = []
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES, signal }) as AsyncIterable<Buffer>) {
    const end = chunk.lastIndexOf(LF)
    if (end < 0) {
      rest.push(chunk)
      continue
    }
    const whole = rest.length === 0 ? chunk : Buffer.concat([...rest, chunk])
    const until = whole.lastIndexOf(LF)
    rest = until + 1 < whole.length ? [whole.subarray(until + 1)] : []
    const lines: Buffer[] = []
    for (let at = 0; at <= until; ) {
      const next = whole.indexOf(LF, at)
      lines.push(whole.subarray(at, next))
      at = next + 1
    }
    yield lines
  }
  if (rest.length > 0) yield [Buffer.concat(rest)]
}

function storedOf(line: Buffer, naming: Naming, isPlain: boolean): StoredRow {
  const whole = payloadOf(line)
  if (naming.columns.length === 0 || !whole) return { data: whole }
  try {
    if (!isPlain && !naming.isNested) return parsedOf(line, naming)
    const found = new Map<string, RawJson>()
    members(line, 0, line.length, (keyStart, keyEnd, start, end) => {
      found.set(stringAt(line, keyStart, keyEnd), new RawJson(line, start, end))
    })
    const id = naming.rowId === undefined ? undefined : found.get(naming.rowId)
    const rowId = id && stringOf(id)
    return {
      ...(rowId !== undefined && { rowId }),
      data: isPlain ? withoutFacts(found, naming) : found.get(naming.payload),
    }
  } catch {
    return { data: undefined }
  }
}

/** The payload is the text in a string. */
function parsedOf(line: Buffer, naming: Naming): StoredRow {
  const row = JSON.parse(line.toString()) as Record<string, unknown>
  const [rowId, recordId, data] = [naming.rowId, naming.recordId, naming.payload].map((name) => row[name ?? ''])
  return {
    ...(typeof rowId === 'string' && { rowId }),
    ...(typeof recordId === 'string' && { recordId }),
    data: typeof data === 'string' ? payloadOf(Buffer.from(data)) : undefined,
  }
}

/** The record's own members. */
function withoutFacts(found: ReadonlyMap<string, RawJson>, { columns }: Naming): RawJson | undefined {
  const own = [...found].filter(([name]) => columns.every((column) => column.name !== name))
  return payloadOf(Buffer.from(`{${own.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`))
}

/** The same files in another folder, whatever their names. */
export function scratchFiles(options: FileOptions, folder: string): Scratch<FileOptions> {
  if (options.destinationId === STDOUT) {
    throw new BizonError('usage', 'what goes to standard output cannot be read back', {
      hint: 'Choose a destination_id that is a file.',
    })
  }
  const idOf = (id: string): string => join(folder, 'out', `${resolve(id)}`.replaceAll(/[^\w.{}-]+/g, '_'))
  return {
    config: {
      ...options,
      destinationId: idOf(options.destinationId),
      recordSchemas: options.recordSchemas.map((schema) => ({ ...schema, destinationId: idOf(schema.destinationId) })),
    },
    idOf,
    remove: async () => {},
  }
}
