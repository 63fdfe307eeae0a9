// Which partition a record goes to: by its key, so that all that is ever said of one thing stays in order. The primary key of the
// stream where it has one, else the record's id.

import { crc32 } from 'node:zlib'
import { valuesReader } from '../../json/path.ts'
import { stringOf } from '../../json.ts'
import { isJsonObject, type Json, RawJson, type SourceRecord } from '../../record.ts'
import type { Page, StreamInfo } from '../../source.ts'
import type { PipeState } from '../state.ts'

/** A number, also one that stands in text: a database may take either for the same key. */
const NUMBER = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/
const NUL = '\0'
/** Odd, so that two sequences that differ in one key have two digests. */
const FNV_PRIME = 0x01000193

/** Divides pages among so many partitions. */
export class Splitter {
  readonly #of: number
  readonly #keys = new Map<StreamInfo, (record: SourceRecord) => string>()
  /** Of all keys so far, in order. Undefined: those before the start are not known. */
  #digest: number | undefined

  /** `start`: where the reading begins. */
  constructor(of: number, start: Pick<PipeState, 'page' | 'reading'> = { page: 0 }) {
    this.#of = of
    const { page, reading } = start
    this.#digest = page === 0 ? 0 : reading === undefined ? undefined : Number.parseInt(reading, 16)
  }

  /** See `Page`. */
  get reading(): string | undefined {
    return this.#digest?.toString(16).padStart(8, '0')
  }

  /** A page for each, in order, with the same place to go on; some without records. `stream`: of pages that do not say theirs. */
  split(page: Page, stream: StreamInfo): Page[] {
    const keyOf = this.#keyOf(page.stream ?? stream)
    const parts: SourceRecord[][] = Array.from({ length: this.#of }, () => [])
    let digest = this.#digest ?? 0
    for (const record of page.records) {
      const hash = crc32(keyOf(record))
      digest = Math.imul(digest ^ hash, FNV_PRIME)
      parts[hash % this.#of]?.push(record)
    }
    if (this.#digest !== undefined) this.#digest = digest >>> 0
    const { bytes: _, release: __, ...rest } = page
    return parts.map((records) => ({ ...rest, records }))
  }

  #keyOf(stream: StreamInfo): (record: SourceRecord) => string {
    let key = this.#keys.get(stream)
    if (!key) {
      key = keyReader(stream.primaryKey ?? [])
      this.#keys.set(stream, key)
    }
    return key
  }
}

function keyReader(fields: readonly string[]): (record: SourceRecord) => string {
  if (fields.length === 0) return ({ id }) => id
  const read = valuesReader(fields.map((name) => [name]))
  return ({ data }) => {
    if (data instanceof RawJson) return read(data).map(rawText).join(NUL)
    return fields.map((name) => valueText(data[name])).join(NUL)
  }
}

function rawText(value: RawJson | undefined): string {
  return value === undefined ? '' : (plainText(stringOf(value)) ?? valueText(value.parse()))
}

/** Spellings of one value are alike; objects, which are no keys, all are. */
function valueText(value: Json | undefined): string {
  if (value === undefined || value === null) return ''
  if (Array.isArray(value) || (isJsonObject(value) && !isExact(value))) return '{}'
  return plainText(String(value)) ?? ''
}

function plainText(text: string | undefined): string | undefined {
  return text !== undefined && NUMBER.test(text) ? String(Number(text)) : text
}

/** Numbers that a double would change are objects that print as they came. */
const isExact = (value: object): boolean => 'isLosslessNumber' in value
