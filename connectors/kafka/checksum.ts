// CRC-32C, which record batches bear: what a disk or a network has changed is seen by it.

/** Reflected: https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4 */
const POLYNOMIAL = 0x82f63b78

/** Of eight bytes at a time, one table for each. One closure, so that V8 knows the tables as constants (lib/json/scan.ts). */
function createChecksum(): (bytes: Buffer, start: number, end: number) => number {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let rest = byte
    for (let bit = 0; bit < 8; bit++) rest = (rest & 1) === 1 ? (rest >>> 1) ^ POLYNOMIAL : rest >>> 1
    return rest
  })
  const after = (table: Int32Array): Int32Array => table.map((rest) => (rest >>> 8) ^ (first[rest & 0xff] as number))
  const t0 = first
  const t1 = after(t0)
  const t2 = after(t1)
  const t3 = after(t2)
  const t4 = after(t3)
  const t5 = after(t4)
  const t6 = after(t5)
  const t7 = after(t6)

  return (bytes, start, end) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let rest = -1
    let i = start
    for (const last = end - 8; i <= last; i += 8) {
      const low = view.getInt32(i, true) ^ rest
      const high = view.getInt32(i + 4, true)
      rest =
        (t7[low & 0xff] as number) ^
        (t6[(low >>> 8) & 0xff] as number) ^
        (t5[(low >>> 16) & 0xff] as number) ^
        (t4[low >>> 24] as number) ^
        (t3[high & 0xff] as number) ^
        (t2[(high >>> 8) & 0xff] as number) ^
        (t1[(high >>> 16) & 0xff] as number) ^
        (t0[high >>> 24] as number)
    }
    for (; i < end; i++) rest = (rest >>> 8) ^ (t0[(rest ^ (bytes[i] as number)) & 0xff] as number)
    return ~rest >>> 0
  }
}

export const crc32c = createChecksum()
