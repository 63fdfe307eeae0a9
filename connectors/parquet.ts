// The only file that imports hyparquet and hyparquet-writer: Parquet files out, row group by row group, and in, by ranges.
// Both are optional peers, loaded when a config names Parquet.

import * as zlib from 'node:zlib'
import type { ParquetParsers, SchemaElement, SchemaTree } from 'hyparquet'
import type { ByteWriter, ColumnSource, ParquetWriter } from 'hyparquet-writer'
import { BizonError, type ErrorCode, systemCode } from '../lib/errors.ts'

export type { SchemaElement, SchemaTree } from 'hyparquet'

/** The type of a column, and beside it what its values are. */
export type ColumnType =
  /** Text, or its bytes in UTF-8. */
  | { readonly kind: 'string' | 'json' }
  | { readonly kind: 'bytes' }
  /** BigInt. */
  | { readonly kind: 'int64' }
  /** Microseconds, BigInt; since 1970 in UTC, since 1970 by the local clock, since midnight. */
  | { readonly kind: 'timestamp' | 'datetime' | 'time' }
  /** The number without its point, BigInt: 1.10 at scale 2 is 110. */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  /** Days since 1970. */
  | { readonly kind: 'date' }
  | { readonly kind: 'double' }
  | { readonly kind: 'boolean' }

export type Value = string | Uint8Array | bigint | number | boolean | null

export interface Column {
  readonly name: string
  readonly type: ColumnType
}

/** Makes one file. What it returns are the next bytes of it, good until the next call. */
export class PartWriter {
  readonly #columns: readonly Column[]
  readonly #bytes: ByteWriter
  readonly #writer: ParquetWriter

  constructor({ ParquetWriter, ByteWriter }: Libraries, columns: readonly Column[], createdBy: string) {
    this.#columns = columns
    this.#bytes = new ByteWriter(1 << 16)
    const root = { name: 'schema', num_children: columns.length }
    this.#writer = new ParquetWriter({
      writer: this.#bytes,
      schema: [root, ...columns.map(elementOf)],
      createdBy,
    })
  }

  /** A row group: the values of each column, all of one length. */
  group(values: readonly (readonly Value[])[]): Uint8Array {
    const columnData = this.#columns.map(({ name, type }, at): ColumnSource => {
      const data = values[at] as Value[]
      return { name, data, ...(type.kind === 'json' && { statistics: false }) }
    })
    this.#writer.write({ columnData, rowGroupSize: Math.max(1, values[0]?.length ?? 0) })
    return this.#take()
  }

  /** The footer, with these entries of metadata. */
  finish(metadata: Readonly<Record<string, string>>): Uint8Array {
    for (const element of this.#writer.schema) {
      if (element.logical_type?.type === 'JSON') element.converted_type = 'JSON'
    }
    this.#writer.kvMetadata = Object.entries(metadata).map(([key, value]) => ({ key, value }))
    this.#writer.finish()
    return this.#take()
  }

  #take(): Uint8Array {
    const bytes = this.#bytes.getBytes()
    this.#bytes.index = 0
    return bytes
  }
}

type Element = ConstructorParameters<typeof ParquetWriter>[0]['schema'][number]

function elementOf({ name, type }: Column): Element {
  const base = { name, repetition_type: 'OPTIONAL' } as const
  switch (type.kind) {
    case 'string':
      return { ...base, type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } }
    case 'json':
      // The older name of the type is added at the end: by it the writer would print the values anew.
      return { ...base, type: 'BYTE_ARRAY', logical_type: { type: 'JSON' } }
    case 'bytes':
      return { ...base, type: 'BYTE_ARRAY' }
    case 'int64':
      return { ...base, type: 'INT64' }
    case 'timestamp':
    case 'datetime': {
      const isAdjustedToUTC = type.kind === 'timestamp'
      const logical_type = { type: 'TIMESTAMP', isAdjustedToUTC, unit: 'MICROS' } as const
      return { ...base, type: 'INT64', ...(isAdjustedToUTC && { converted_type: 'TIMESTAMP_MICROS' }), logical_type }
    }
    case 'time': {
      const logical_type = { type: 'TIME', isAdjustedToUTC: false, unit: 'MICROS' } as const
      return { ...base, type: 'INT64', converted_type: 'TIME_MICROS', logical_type }
    }
    case 'decimal': {
      const { precision, scale } = type
      const shape = {
        converted_type: 'DECIMAL',
        precision,
        scale,
        logical_type: { type: 'DECIMAL', precision, scale },
      } as const
      return precision <= 18
        ? { ...base, ...shape, type: 'INT64' }
        : { ...base, ...shape, type: 'FIXED_LEN_BYTE_ARRAY', type_length: 16 }
    }
    case 'date':
      return { ...base, type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } }
    case 'double':
      return { ...base, type: 'DOUBLE' }
    case 'boolean':
      return { ...base, type: 'BOOLEAN' }
  }
}

/** Reads `length` bytes at an offset; fewer only where the file ends. */
export type ReadRange = (offset: number, length: number) => Promise<Buffer>

export interface PartFile {
  readonly rows: number
  /** Entries of the footer. */
  readonly metadata: ReadonlyMap<string, string>
  /** Rows of each row group. */
  readonly groups: readonly number[]
  readonly schema: SchemaTree
  /** Values of each column of the schema, of all rows of a row group; numbers and times as they are stored. */
  read(group: number): Promise<readonly ArrayLike<unknown>[]>
}

/** What may be read at once, to find the footer. */
const FOOTER_BYTES = 64 * 1024

export interface Libraries {
  readonly ParquetWriter: typeof ParquetWriter
  readonly ByteWriter: typeof ByteWriter
  readonly reader: typeof import('hyparquet')
}

/** Rejects with a BizonError of the code when they are not installed. */
export async function loadParquet(code: ErrorCode): Promise<Libraries> {
  try {
    const [{ ParquetWriter, ByteWriter }, reader] = await Promise.all([import('hyparquet-writer'), import('hyparquet')])
    return { ParquetWriter, ByteWriter, reader }
  } catch (error) {
    if (systemCode(error) !== 'ERR_MODULE_NOT_FOUND' && systemCode(error) !== 'MODULE_NOT_FOUND') throw error
    throw new BizonError(code, 'Parquet needs the packages hyparquet and hyparquet-writer, which are not installed', {
      hint: 'npm install hyparquet hyparquet-writer',
    })
  }
}

/** Reads the footer. Rejects with an error that says why when the bytes are no whole Parquet file. */
export async function openPart({ reader }: Libraries, size: number, readRange: ReadRange): Promise<PartFile> {
  const file = {
    byteLength: size,
    async slice(start: number, end = size): Promise<ArrayBuffer> {
      const bytes = await readRange(start, end - start)
      if (bytes.length < end - start) throw new RangeError('it ends too early')
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
    },
  }
  // Shorter than the marks at both ends and the length between: the package would read before the start.
  if (size < 12) throw new RangeError('it is too short')
  const metadata = await reader.parquetMetadataAsync(file, { initialFetchSize: FOOTER_BYTES, geoparquet: false })
  const original = { ...metadata, schema: metadata.schema.map((element) => ({ ...element })) }
  for (const element of metadata.schema) asStored(element)
  const schema = reader.parquetSchema(original)
  const starts: number[] = []
  let rows = 0
  const groups = metadata.row_groups.map(({ num_rows }) => {
    starts.push(rows)
    rows += Number(num_rows)
    return Number(num_rows)
  })
  return {
    rows,
    metadata: new Map(metadata.key_value_metadata?.map(({ key, value }) => [key, value ?? ''])),
    groups,
    schema,
    async read(group) {
      const [rowStart, count] = [starts[group] as number, groups[group] as number]
      const scan = await reader.parquetScan({
        file,
        metadata,
        utf8: false,
        parsers: AS_STORED,
        compressors: COMPRESSORS,
      })
      const columns: ArrayLike<unknown>[] = []
      for (const { element } of schema.children) {
        columns.push(await scan.readColumn({ column: element.name, rowStart, rowEnd: rowStart + count }))
      }
      return columns
    },
  }
}

/** The package would make a double of a decimal. */
function asStored(element: SchemaElement): void {
  const isDecimal = element.converted_type === 'DECIMAL' || element.logical_type?.type === 'DECIMAL'
  if (!isDecimal) return
  delete element.converted_type
  delete element.logical_type
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const AS_STORED = {
  timestampFromMilliseconds: (value: bigint) => value,
  timestampFromMicroseconds: (value: bigint) => value,
  timestampFromNanoseconds: (value: bigint) => value,
  dateFromDays: (value: number) => value,
  stringFromBytes: (bytes: Uint8Array) => bytes && utf8.decode(bytes),
  jsonFromBytes: (bytes: Uint8Array) => bytes,
} as unknown as ParquetParsers

type Decompress = (bytes: Uint8Array) => Uint8Array
const zstd = (zlib as unknown as { zstdDecompressSync?: Decompress }).zstdDecompressSync

const COMPRESSORS = {
  GZIP: (bytes: Uint8Array): Uint8Array => zlib.gunzipSync(bytes),
  BROTLI: (bytes: Uint8Array): Uint8Array => zlib.brotliDecompressSync(bytes),
  // Node 20 has none.
  ...(zstd && { ZSTD: (bytes: Uint8Array): Uint8Array => zstd(bytes) }),
}
