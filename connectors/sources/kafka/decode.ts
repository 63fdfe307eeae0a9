// Keys and values in the encodings that a config can name, to JSON text.

import { isUtf8 } from 'node:buffer'
import { frameOf, type IdBytes } from './framing.ts'
import { isJson, type Repair, strictJson } from './json.ts'
import type { Schemas } from './schemas.ts'
import type { TextBuffer } from './text.ts'

/** `utf-8` is JSON, as the Python bizon calls it. */
export const VALUE_ENCODINGS = ['avro', 'utf-8', 'json', 'string', 'bytes'] as const
export const KEY_ENCODINGS = ['json', 'string', 'bytes', 'avro'] as const
export type Encoding = (typeof VALUE_ENCODINGS)[number]

export interface Decoder {
  /**
   * Writes the JSON text of bytes that are there, `bytes[start, end)`. Throws `Undecodable`. Unless `repaired` is given it need not look
   * whether what it writes is UTF-8 with surrogates in pairs, and mends nothing: then whoever calls looks at the whole
   * page, and decodes it again if it is not.
   */
  add(
    bytes: Buffer,
    start: number,
    end: number,
    out: TextBuffer,
    repaired: ((repair: Repair) => void) | undefined,
  ): void
  /** The schema that bytes are written with; empty: none is needed. */
  readonly schemas?: { readonly of: (bytes: Buffer) => string; readonly all: Schemas }
}

export interface Ids {
  readonly width: IdBytes
  readonly schemas: Schemas
}

/** `ids`: for Avro. */
export function decoderOf(encoding: Encoding, ids: Ids | undefined): Decoder {
  switch (encoding) {
    case 'utf-8':
    case 'json':
      return { add: addJson }
    case 'string':
      return { add: addText }
    case 'bytes':
      return { add: (bytes, start, end, out) => out.addBase64(bytes, start, end) }
    case 'avro':
      return avro(ids as Ids)
  }
}

const addJson: Decoder['add'] = (bytes, start, end, out, repaired) => {
  if (repaired) out.add(strictJson(bytes.subarray(start, end), repaired))
  else if (isJson(bytes, start, end)) out.addFrom(bytes, start, end)
  else throw new NotPlain()
}

/** The page cannot be decoded the quick way. */
export class NotPlain extends Error {
  override readonly name = 'NotPlain'
}

const addText: Decoder['add'] = (bytes, start, end, out, repaired) => {
  if (!repaired || isUtf8(bytes.subarray(start, end))) return out.addQuoted(bytes, start, end)
  repaired('bytes that are not UTF-8')
  const text = Buffer.from(bytes.toString('utf8', start, end))
  out.addQuoted(text, 0, text.length)
}

function avro({ width, schemas }: Ids): Decoder {
  return {
    schemas: { of: (bytes) => frameOf(bytes, width).id, all: schemas },
    add(all, begin, end, out, repaired) {
      const bytes = all.subarray(begin, end)
      const { id, start } = frameOf(bytes, width)
      const from = out.length
      schemas.get(id).read(bytes, start, out)
      if (!repaired) return
      // Texts of Avro should be UTF-8 too.
      const written = out.copyFrom(from)
      if (isUtf8(written)) return
      repaired('bytes that are not UTF-8')
      out.cut(from)
      out.add(Buffer.from(written.toString()))
    },
  }
}
