// The quick way to a record finds what the thorough one finds, or nothing: whatever the line is.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { envelopeReader } from '../../../lib/pipe/envelope.ts'
import { readMessage } from '../../../lib/pipe/messages.ts'
import { PipeWriter } from '../../../lib/pipe/write.ts'
import { RawJson } from '../../../lib/record.ts'

const STREAM = 'a "stream"/é'
const quick = envelopeReader(STREAM)

/** The line of a record as our writer writes it. */
async function lineOf(id: string, json: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  const out = { write: async (bytes: Uint8Array): Promise<void> => void chunks.push(Buffer.from(bytes)) }
  const start = { run: 'r', at: new Date(0), page: 0, rows: 41, end: false, position: null }
  const writer = new PipeWriter(out, 'singer', { name: STREAM }, start)
  await writer.write({ records: [{ id, data: RawJson.from(json) }], next: null, extractedAt: new Date(0) })
  await writer.close('stopped')
  return Buffer.concat(chunks).subarray(0, -1)
}

function thorough(line: Buffer) {
  const message = readMessage(line, 0, line.length)
  if (message.type !== 'RECORD' || message.stream !== STREAM || !message.bizon) return undefined
  const { n, id, at, to } = message.bizon
  return { n, id, at, to, record: message.record.toString() }
}

function found(line: Buffer) {
  const record = quick(line, 0, line.length)
  return record && { n: record.n, id: record.id, at: undefined, to: undefined, record: record.record.toString() }
}

describe('a line of our own', () => {
  test.each([
    ['{"id":90071992547409931,"price":1.10,"zero":-0,"big":1E400}', 'plain'],
    ['{}', 'é'],
    ['{"a":"\\ud800","a":1,"record":{"record":2}}', ''],
  ])('%s is found as it is', async (json, id) => {
    expect(found(await lineOf(id, json))).toEqual({ n: 42, id, at: undefined, to: undefined, record: json })
  })

  test('with an id that is escaped is left to the thorough way', async () => {
    const line = await lineOf('"', '{}')
    expect(found(line)).toBeUndefined()
    expect(thorough(line)).toMatchObject({ id: '"', n: 42 })
  })

  test('with a number that JSON does not have is not found', async () => {
    const line = (await lineOf('a', '{}')).toString()
    expect(found(Buffer.from(line.replace('"n":42', '"n":0')))).toMatchObject({ n: 0 })
    expect(found(Buffer.from(line.replace('"n":42', '"n":042')))).toBeUndefined()
  })

  test('that was changed is found as the thorough way finds it, or not at all', async () => {
    const json = fc.object({ maxDepth: 2 }).map((value) => JSON.stringify(value))
    const change = fc.record({
      at: fc.nat(250),
      byte: fc.oneof(fc.constantFrom(...Buffer.from('{}[]",:\\0a ')), fc.integer({ min: 0, max: 255 })),
      how: fc.constantFrom('replaced', 'put in', 'removed', 'cut'),
    })
    await fc.assert(
      fc.asyncProperty(json, fc.string(), change, async (data, id, { at, byte, how }) => {
        const line = await lineOf(id, data)
        const place = Math.min(line.length - 1, at)
        const rest = how === 'cut' ? line.length : how === 'put in' ? place : place + 1
        const middle = how === 'replaced' || how === 'put in' ? Buffer.from([byte]) : Buffer.alloc(0)
        const changed = Buffer.concat([line.subarray(0, place), middle, line.subarray(rest)])
        const result = found(changed)
        if (result) expect(result).toEqual(thorough(changed))
      }),
      { numRuns: 5000 },
    )
  })
})
