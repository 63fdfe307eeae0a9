// In front of Avro data stands which schema they are written with: a zero byte, then the id, in four bytes as the
// serializers of Confluent write it, or in eight as those of Apicurio did at first.

import { Undecodable } from './undecodable.ts'

export const ID_BYTES = ['auto', '4', '8'] as const
export type IdBytes = (typeof ID_BYTES)[number]

export interface Frame {
  /** Decimal digits: it may have 63 bits. */
  readonly id: string
  /** Where the data begin. */
  readonly start: number
}

/** Throws `Undecodable`. `auto`: eight bytes when the first four are zero, which no id of four bytes is. */
export function frameOf(bytes: Buffer, width: IdBytes): Frame {
  const magic = bytes[0]
  if (magic === undefined) throw new Undecodable('is empty, where Avro data with a schema id should be')
  if (magic !== 0) {
    const found = `0x${magic.toString(16).padStart(2, '0')}`
    throw new Undecodable(
      `has no schema id: it begins with the byte ${found}, not with 0x00`,
      'Set source.message_encoding, or key_encoding, to what the messages are: utf-8 for JSON.',
    )
  }
  if (bytes.length >= 5 && width !== '8') {
    const id = bytes.readUInt32BE(1)
    if (id !== 0 || width === '4') return checked({ id: String(id), start: 5 })
  }
  const needed = width === '4' ? 5 : 9
  if (bytes.length < needed) {
    throw new Undecodable(`is too short for a schema id: ${bytes.length} bytes`)
  }
  return checked({ id: String(bytes.readBigInt64BE(1)), start: 9 })
}

function checked(frame: Frame): Frame {
  if (frame.id === '0' || frame.id.startsWith('-')) {
    throw new Undecodable(
      `has the schema id ${frame.id}, which is none`,
      'Set source.schema_id_bytes if the ids are written with 4 or 8 bytes.',
    )
  }
  return frame
}
