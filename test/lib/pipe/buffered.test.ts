import { describe, expect, test } from 'vitest'
import { BufferedOut } from '../../../lib/pipe/buffered.ts'

const KIB = 1024

/** Takes nothing until it is told to. */
class Held {
  readonly taken: string[] = []
  #open: (() => void)[] = []
  write = (bytes: Uint8Array): Promise<void> =>
    new Promise((done) => {
      this.#open.push(() => {
        this.taken.push(Buffer.from(bytes).toString())
        done()
      })
    })
  get waiting(): number {
    return this.#open.length
  }
  release(): void {
    this.#open.shift()?.()
  }
}

const BEFORE = Buffer.from('{"n":')
const BETWEEN = Buffer.from(',"id":"')
const AFTER = Buffer.from('"}')

describe('many small pieces become few large writes', () => {
  test('one buffer is filled while the other is on its way, and a third has to wait', async () => {
    const held = new Held()
    const out = new BufferedOut(held)
    const piece = Buffer.alloc(100 * KIB, 'a')
    expect(out.bytes(piece)).toBeUndefined()
    await out.push()
    expect(held.waiting).toBe(1)
    expect(out.bytes(Buffer.alloc(100 * KIB, 'b'))).toBeUndefined()
    const second = out.push()
    const third = await Promise.race([second.then(() => 'handed on'), Promise.resolve('waits')])
    expect(third).toBe('waits')
    held.release()
    await second
    expect(held.taken).toEqual(['a'.repeat(100 * KIB)])
    held.release()
    await out.settle()
    expect(held.taken).toEqual(['a'.repeat(100 * KIB), 'b'.repeat(100 * KIB)])
  })

  test('pieces of any size come out in order', async () => {
    const taken: Buffer[] = []
    const write = async (bytes: Uint8Array): Promise<void> => void taken.push(Buffer.from(bytes))
    const out = new BufferedOut({ write })
    const parts = [1, 300, 7, 256, 255, 1, 1000].map((kib, at) => String(at).repeat(kib * KIB))
    for (const [at, part] of parts.entries()) await (at % 2 === 0 ? out.text(part) : out.bytes(Buffer.from(part)))
    await out.settle()
    expect(Buffer.concat(taken).toString() === parts.join('')).toBe(true)
  })

  test('a write that failed is told at once, and to whoever writes next', async () => {
    const told: unknown[] = []
    const broken = new Error('no more')
    const out = new BufferedOut({ write: () => Promise.reject(broken) }, (error) => told.push(error))
    out.text('a')
    await out.push()
    await new Promise(setImmediate)
    expect(told).toEqual([broken])
    out.text('b')
    await expect(out.push()).rejects.toBe(broken)
    await expect(out.settle()).rejects.toBe(broken)
  })
})

describe('what is written by hand', () => {
  const written = async (number: number, text: string): Promise<string | false> => {
    const taken: Buffer[] = []
    const out = new BufferedOut({ write: async (bytes) => void taken.push(Buffer.from(bytes)) })
    const done = out.quick(BEFORE, number, BETWEEN, text, AFTER)
    await out.settle()
    return done && Buffer.concat(taken).toString()
  }

  test.each([0, 1, 9, 10, 99, 100, 123456789, 2 ** 31, 2 ** 32 + 1, 999_999_999_999_999])(
    'the number %d',
    async (n) => {
      expect(await written(n, 'x')).toBe(`{"n":${n},"id":"x"}`)
    },
  )

  test.each(['', 'a-1', 'orders.csv:17', '~ !#[]'])('the text %j', async (text) => {
    expect(await written(1, text)).toBe(`{"n":1,"id":${JSON.stringify(text)}}`)
  })

  test.each(['"', '\\', '\n', '\u0000', 'é', '😀', '\ud800', 'plain but for the last "'])(
    'not the text %j',
    async (text) => {
      expect(await written(1, text)).toBe(false)
    },
  )

  test('not what there is no room for', () => {
    const out = new BufferedOut({ write: async () => {} })
    out.bytes(Buffer.alloc(255 * KIB))
    expect(out.quick(BEFORE, 1, BETWEEN, 'x'.repeat(2 * KIB), AFTER)).toBe(false)
  })
})
