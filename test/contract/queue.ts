// What every queue does, whatever carries it. A queue runs it in one line.

import { describe, expect, it } from 'vitest'
import type { Checkpoint, Item } from '../../lib/checkpoint.ts'
import type { Queue, QueueOptions } from '../../lib/queue.ts'
import { RawJson } from '../../lib/record.ts'
import type { Page } from '../../lib/source.ts'
import { sleep } from '../../lib/wait.ts'

const open = new AbortController().signal

function page(n: number, bytes = 10): Page {
  return { records: [{ id: String(n), data: RawJson.from(`{"n":${n}}`) }], next: { n }, bytes }
}

function barrier(n: number, end = false): Checkpoint {
  return { run: 'r', page: n, rows: n, position: end ? null : { n }, end }
}

const label = (item: Item): string =>
  'records' in item ? `page ${item.records[0]?.id}` : `checkpoint ${item.page}${item.end ? ' end' : ''}`

/** Whether the promise is still waiting after the event loop turned a few times. */
async function waits(promise: Promise<unknown>): Promise<boolean> {
  return (await Promise.race([promise.then(() => 'settled'), sleep(0.02, open).then(() => 'waits')])) === 'waits'
}

export function queueContract(name: string, make: (options: QueueOptions) => Queue): void {
  const roomy = { maxBytes: 1 << 20, maxItems: 1000 }

  async function opened(options: QueueOptions = roomy): Promise<Queue> {
    const queue = make(options)
    await queue.open(open)
    return queue
  }

  describe(`${name} as a queue`, () => {
    it('gives pages and checkpoints in the order they were put, and ends after finish', async () => {
      const queue = await opened()
      for (const item of [page(1), page(2), barrier(2), page(3), barrier(3, true)]) await queue.put(item, open)
      await queue.finish()
      const taken: string[] = []
      for await (const { item, ack } of queue.take(open)) {
        taken.push(label(item))
        await ack()
        await ack()
      }
      expect(taken).toEqual(['page 1', 'page 2', 'checkpoint 2', 'page 3', 'checkpoint 3 end'])
      await queue.close()
    })

    it('gives what is put while somebody waits', async () => {
      const queue = await opened()
      const taking = queue.take(open)
      const first = taking.next()
      expect(await waits(first)).toBe(true)
      await queue.put(page(7), open)
      const { value } = await first
      expect(value && label(value.item)).toBe('page 7')
      await queue.close()
    })

    it('makes put wait while it is full by bytes, until what was taken is dealt with', async () => {
      const queue = await opened({ maxBytes: 100, maxItems: 1000 })
      await queue.put(page(1, 60), open)
      const second = queue.put(page(2, 60), open)
      expect(await waits(second)).toBe(true)
      const taking = queue.take(open)
      await taking.next()
      expect(await waits(second)).toBe(true) // the loader still works on it
      const next = taking.next()
      await second
      const { value } = await next
      expect(value && label(value.item)).toBe('page 2')
      await queue.close()
    })

    it('makes put wait while it is full by items', async () => {
      const queue = await opened({ maxBytes: 1 << 20, maxItems: 2 })
      await queue.put(page(1), open)
      await queue.put(page(2), open)
      expect(await waits(queue.put(page(3), open).catch(() => {}))).toBe(true)
      await queue.close()
    })

    it('always has room for one item, however large', async () => {
      const queue = await opened({ maxBytes: 10, maxItems: 1 })
      await queue.put(page(1, 1 << 30), open)
      await queue.close()
    })

    it('stops waiting, on either side, when the signal aborts', async () => {
      const queue = await opened({ maxBytes: 10, maxItems: 1 })
      const controller = new AbortController()
      const taking = queue.take(controller.signal).next()
      controller.abort(new Error('stop'))
      await expect(taking).rejects.toThrow('stop')
      await queue.put(page(1), open)
      const late = new AbortController()
      const putting = queue.put(page(2), late.signal)
      late.abort(new Error('stop too'))
      await expect(putting).rejects.toThrow('stop too')
      await queue.close()
    })

    it('rejects who waits or comes after it is closed, and closes twice', async () => {
      const queue = await opened({ maxBytes: 10, maxItems: 1 })
      await queue.put(page(1), open)
      const putting = queue.put(page(2), open)
      await queue.close()
      await queue.close()
      await expect(putting).rejects.toThrow('closed')
      await expect(queue.put(page(3), open)).rejects.toThrow('closed')
    })
  })
}
