// The source is asked for more only when little is read and not written.

import { expect, test } from 'vitest'
import { InFlight } from '../../lib/in-flight.ts'
import { memorySizes } from '../../lib/memory.ts'
import { RawJson } from '../../lib/record.ts'
import type { Page } from '../../lib/source.ts'
import { never } from '../../lib/wait.ts'

const MIB = 2 ** 20
const page = (bytes: number): Page => ({ records: [{ id: 'a', data: RawJson.from('{}') }], bytes, next: null })

async function* pages(
  bytes: number,
  count: number,
  told: { asked: number; ended: boolean },
): AsyncGenerator<Page, void, void> {
  try {
    for (; told.asked < count; ) {
      told.asked += 1
      yield page(bytes)
    }
  } finally {
    told.ended = true
  }
}

const soon = () => new Promise<void>((resolve) => setImmediate(resolve))

test('one page that is larger than what may be ahead is read at a time', async () => {
  const told = { asked: 0, ended: false }
  const inFlight = new InFlight()
  const reading = inFlight.reading(pages(memorySizes().readAhead, 3, told), never)
  await reading.next()
  const second = reading.next()
  await soon()
  expect(told.asked).toBe(1)
  inFlight.written()
  await second
  expect(told.asked).toBe(2)
})

test('small pages are read ahead, up to the bytes that may be', async () => {
  const told = { asked: 0, ended: false }
  const inFlight = new InFlight()
  const reading = inFlight.reading(pages(MIB, 100, told), never)
  const reads = Array.from({ length: 20 }, () => reading.next())
  await soon()
  expect(told.asked).toBe(memorySizes().readAhead / MIB)
  for (let i = 0; i < 20; i++) {
    inFlight.written()
    await soon()
  }
  await Promise.all(reads)
  expect(told.asked).toBe(20)
})

test('whoever waits for room is called off by the signal, and the source is ended', async () => {
  const told = { asked: 0, ended: false }
  const abort = new AbortController()
  const reading = new InFlight().reading(pages(100 * MIB, 3, told), abort.signal)
  await reading.next()
  const next = reading.next()
  abort.abort(new Error('enough'))
  await expect(next).rejects.toThrow('enough')
  expect(told).toEqual({ asked: 1, ended: true })
})
