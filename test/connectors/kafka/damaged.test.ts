// Batches that no broker sends: cut off, changed by a disk, or made up.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readBatches } from '../../../connectors/kafka/batches.ts'
import { crc32c } from '../../../connectors/kafka/checksum.ts'
import { Broken } from '../../../connectors/kafka/wire.ts'
import { ALL, batches, messagesIn, shown } from '../../support/client-batches.ts'
import { batchOf, type WrittenBatch } from '../../support/record-batch.ts'

describe('bytes that are cut off or changed', () => {
  test('of a last batch that is cut off nothing is shown', async () => {
    await fc.assert(
      fc.asyncProperty(batches, fc.double({ min: 0, max: 1, noNaN: true }), async (list, share) => {
        const each = list.map(batchOf)
        const written = Buffer.concat(each)
        const length = Math.floor(share * written.length)
        let whole = 0
        for (let size = 0; size + (each[whole]?.length ?? Infinity) <= length; whole++) size += each[whole]?.length ?? 0
        const parts = await readBatches(written.subarray(0, length), ALL)
        const right = messagesIn(await readBatches(Buffer.concat(each.slice(0, whole)), ALL))
        expect(messagesIn(parts).map(shown)).toEqual(right.map(shown))
      }),
    )
  })

  test('a byte that was changed is found, or its batch seems to be cut off', async () => {
    await fc.assert(
      fc.asyncProperty(batches, fc.nat(), fc.integer({ min: 1, max: 255 }), async (list, place, change) => {
        const written = Buffer.concat(list.map(batchOf))
        const right = messagesIn(await readBatches(written, ALL)).map(shown)
        const at = place % written.length
        written[at] = (written[at] as number) ^ change
        try {
          const found = messagesIn(await readBatches(written, ALL)).map(shown)
          // The first offset, and the epoch of the leader, are not in the checksum: brokers set them.
          const isOutside = list.map(batchOf).reduce(
            ({ from, found: known }, { length }) => ({
              from: from + length,
              found: known || (at >= from && at < from + 16),
            }),
            { from: 0, found: false },
          ).found
          if (!isOutside) expect(found).toEqual(right.slice(0, found.length))
        } catch (error) {
          expect(error).toBeInstanceOf(Broken)
          expect((error as Error).message).toMatch(/^the batch at offset -?\d+ is damaged: /)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('a batch whose checksum is right, and that is none, is an error', async () => {
    await fc.assert(
      fc.asyncProperty(batches, fc.nat(), fc.integer({ min: 1, max: 255 }), async ([first], place, change) => {
        const written = batchOf(first as WrittenBatch)
        const at = 21 + (place % (written.length - 21))
        written[at] = (written[at] as number) ^ change
        written.writeUInt32BE(crc32c(written, 21, written.length), 17)
        try {
          const parts = await readBatches(written, ALL)
          for (const { messages } of parts) {
            for (const { key, value } of messages)
              expect((key?.length ?? 0) + (value?.length ?? 0)).toBeLessThan(1 << 20)
          }
        } catch (error) {
          if (!/compressed by|when it is unpacked/.test(String(error))) expect(error).toBeInstanceOf(Broken)
        }
      }),
      { numRuns: 300 },
    )
  })
})
