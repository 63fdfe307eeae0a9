// Messages as a broker's answer has them, of values that a test writes down.

import { type Message, Messages } from '../../connectors/kafka/messages.ts'

export function messagesOf(list: readonly Message[]): Messages {
  const parts: Buffer[] = []
  let length = 0
  const put = (bytes: Buffer): number => {
    parts.push(bytes)
    length += bytes.length
    return length - bytes.length
  }
  const nothing = Buffer.alloc(0)
  const placed = list.map(({ offset, timestamp, key, value, headers }) => {
    const pairs = Object.entries(headers).flatMap(([name, given]) =>
      (Array.isArray(given) ? given : [given]).map((each) => [Buffer.from(name), each] as const),
    )
    return {
      ...{ offset, timestamp, keyLength: key?.length ?? -1, valueLength: value?.length ?? -1 },
      ...{ key: put(key ?? nothing), value: put(value ?? nothing) },
      headers: pairs.length === 0 ? -1 : put(headersOf(pairs)),
      size: [key, value, ...pairs.flat()].reduce((sum, each) => sum + (each?.length ?? 0), 0),
    }
  })
  const messages = new Messages(Buffer.concat(parts))
  messages.reserve(list.length)
  for (const { offset, timestamp, key, keyLength, value, valueLength, headers, size } of placed) {
    messages.add(offset, timestamp, key, keyLength, value, valueLength, headers, size)
  }
  return messages
}

function headersOf(pairs: readonly (readonly [Buffer, Buffer | null])[]): Buffer {
  const sized = (bytes: Buffer | null): Buffer => Buffer.concat([varint(bytes?.length ?? -1), bytes ?? Buffer.alloc(0)])
  return Buffer.concat([varint(pairs.length), ...pairs.flatMap(([name, value]) => [sized(name), sized(value)])])
}

/** As the protocol spells numbers: the sign in the lowest bit, seven bits a byte. */
export function varint(value: number | bigint): Buffer {
  const bytes: number[] = []
  // Most are small.
  if (value >= 0 && value < 64) return Buffer.from([Number(value) * 2])
  const given = BigInt(value)
  for (let rest = BigInt.asUintN(64, (given << 1n) ^ (given >> 63n)); ; rest >>= 7n) {
    if (rest < 0x80n) return Buffer.from([...bytes, Number(rest)])
    bytes.push(Number(rest & 0x7fn) | 0x80)
  }
}
