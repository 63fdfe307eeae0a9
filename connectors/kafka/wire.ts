// Numbers and bytes as Kafka's protocol spells them.

/** Something in the bytes of a broker's answer is not as the protocol has it. */
export class Broken extends Error {
  override readonly name = 'Broken'
}

/** A batch is compressed by something that is not built in. */
export class Unpackable extends Error {
  override readonly name = 'Unpackable'
}

/** There is no room for a batch as it is when it is unpacked. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge'
}

/** Of eight bytes, to the nearest that a number can be. */
export function longAt(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)
}

/** What fits into 53 bits. */
const LONG_BYTES_OF_A_NUMBER = 7

/** Reads the numbers that are as short as they can be: seven bits a byte, the sign in the lowest. */
export class Cursor {
  readonly bytes: Buffer
  at: number

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes
    this.at = at
  }

  /** Of 32 bits. */
  int(): number {
    const byte = this.bytes[this.at++] as number
    return byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#longer(byte)
  }

  /** Of 64 bits, to the nearest that a number can be. */
  long(): number {
    const byte = this.bytes[this.at++] as number
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
    const from = this.at - 1
    let value = byte & 0x7f
    for (let unit = 0x80; this.at < from + LONG_BYTES_OF_A_NUMBER; unit *= 0x80) {
      const next = this.bytes[this.at++] as number
      value += (next & 0x7f) * unit
      if (next < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    this.at = from
    return this.#longest()
  }

  /** Null: -1, there is none. */
  slice(length: number): Buffer | null {
    if (length < 0) return null
    const start = this.at
    this.at += length
    return this.bytes.subarray(start, this.at)
  }

  #longer(first: number): number {
    let value = first & 0x7f
    for (let shift = 7; shift < 35; shift += 7) {
      const byte = this.bytes[this.at++] as number
      if (shift === 28 && byte > 0x0f) break
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
    }
    throw new Broken('a number has more than 32 bits')
  }

  #longest(): number {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.bytes[this.at++] ?? 0xff
      if (shift === 63n && byte > 1) break
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return Number((value >> 1n) ^ -(value & 1n))
    }
    throw new Broken('a number has more than 64 bits')
  }
}
