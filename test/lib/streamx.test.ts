// What streamx does on its own was observed on 2.28.1 (docs/decisions.md); each surprise has a test here, so that
// an upgrade that brings it back, or takes our answer away, is seen.

import { pipelinePromise, Readable, Writable } from 'streamx'
import { describe, expect, it } from 'vitest'
import { flow, readable, through, writable } from '../../lib/streamx.ts'
import { sleep } from '../../lib/wait.ts'

interface Thing {
  readonly n: number
  readonly bytes?: number
}

const holding = (holdBytes: number) => ({ holdBytes, sizeOf: ({ bytes = 1 }: Thing) => bytes })
const ONE = holding(1)
const open = new AbortController().signal

async function* count(to: number): AsyncGenerator<Thing, void, void> {
  for (let n = 1; n <= to; n++) yield { n }
}

/** A sink that keeps what it got and which steps were called. */
function collector(write: (thing: Thing) => Promise<void> = async () => {}) {
  const things: number[] = []
  const steps: string[] = []
  const stage = writable<Thing>(
    {
      async write(thing) {
        await write(thing)
        things.push(thing.n)
      },
      final: async () => void steps.push('final'),
      close: async () => void steps.push('close'),
    },
    ONE,
  )
  return { things, steps, stage }
}

describe('a flow of stages', () => {
  it('hands every item on, in order, then calls final and close', async () => {
    const sink = collector()
    const double = through<Thing, Thing>({ each: ({ n }, push) => push({ n: n * 2 }) }, ONE)
    await flow(
      open,
      readable(() => count(5), ONE),
      double,
      sink.stage,
    )
    expect(sink.things).toEqual([2, 4, 6, 8, 10])
    expect(sink.steps).toEqual(['final', 'close'])
  })

  it('hands on what weighs nothing too, however little comes behind it', async () => {
    const weights = [
      [0, 0, 0, 1, 0, 0],
      [0, 0],
      [1, 0, 0],
      [0, 0, 0, 1, 0, 0, 0, 0],
    ]
    for (const given of weights) {
      const sink = collector()
      async function* things() {
        for (const [at, bytes] of given.entries()) yield { n: at, bytes }
      }
      const twice = through<Thing, Thing>(
        {
          each(thing, push) {
            push(thing)
            push({ n: -1, bytes: 1 })
          },
        },
        ONE,
      )
      const stage = writable<Thing>({ write: async ({ n }) => void (n >= 0 && sink.things.push(n)) }, holding(1))
      await flow(
        open,
        readable(() => things(), holding(1)),
        twice,
        stage,
      )
      expect(sink.things).toEqual(given.map((_, at) => at))
    }
  })

  it('fails on a yielded null, which streamx alone takes for the end of everything', async () => {
    const alone: number[] = []
    async function* broken() {
      yield { n: 1 }
      yield null as unknown as Thing
      yield { n: 2 }
    }
    await pipelinePromise(
      Readable.from(broken()),
      new Writable({
        write(thing: unknown, done) {
          alone.push((thing as Thing).n)
          done(null)
        },
      }),
    )
    expect(alone).toEqual([1]) // streamx: no error, and the 2 is lost

    const sink = collector()
    await expect(flow(open, readable(broken, ONE), sink.stage)).rejects.toThrow('yielded null')
    expect(sink.steps).toEqual(['close'])
  })

  it('runs the finally of the source before it settles when the sink fails', async () => {
    const order: string[] = []
    async function* slowToStop(signal: AbortSignal) {
      try {
        for (let n = 1; ; n++) yield { n }
      } finally {
        await sleep(0.05, new AbortController().signal)
        order.push(`source closed, aborted: ${signal.aborted}`)
      }
    }
    const sink = collector(async ({ n }) => {
      if (n === 3) throw new Error('disk full')
    })
    await expect(flow(open, readable(slowToStop, ONE), sink.stage)).rejects.toThrow('disk full')
    order.push('settled')
    expect(order).toEqual(['source closed, aborted: true', 'settled'])
    expect(sink.things).toEqual([1, 2])
    expect(sink.steps).toEqual(['close'])
  })

  it('rejects at once when the signal was aborted before, which streamx alone ignores', async () => {
    const sink = collector()
    const asked: number[] = []
    async function* source() {
      asked.push(1)
      yield { n: 1 }
    }
    const reason = new Error('stopped beforehand')
    await expect(flow(AbortSignal.abort(reason), readable(source, ONE), sink.stage)).rejects.toBe(reason)
    expect(asked).toEqual([])
    expect(sink.steps).toEqual([])
  })

  it('rejects with the very reason of the signal, and never calls final', async () => {
    const controller = new AbortController()
    const reason = new Error('because')
    const sink = collector(async ({ n }) => {
      if (n === 2) controller.abort(reason)
    })
    await expect(
      flow(
        controller.signal,
        readable(() => count(1000), ONE),
        sink.stage,
      ),
    ).rejects.toBe(reason)
    expect(sink.steps).toEqual(['close'])
  })

  it('stops a source that waits for ever but minds its signal', async () => {
    const controller = new AbortController()
    async function* waiting(signal: AbortSignal) {
      yield { n: 1 }
      await sleep(3600, signal)
    }
    const sink = collector(async () => controller.abort(new Error('enough')))
    await expect(flow(controller.signal, readable(waiting, ONE), sink.stage)).rejects.toThrow('enough')
  })

  it('leaves a source behind that minds nothing, after a grace time', async () => {
    const controller = new AbortController()
    async function* deaf() {
      yield { n: 1 }
      await new Promise(() => {})
    }
    const sink = collector(async () => controller.abort(new Error('enough')))
    await expect(flow(controller.signal, readable(deaf, ONE), sink.stage)).rejects.toThrow('enough')
    expect(sink.steps).toEqual(['close'])
  }, 120_000)

  it('turns a throw in any step into one rejection', async () => {
    const bad = () => {
      throw new TypeError('bad step')
    }
    const transform = through<Thing, Thing>({ each: bad }, ONE)
    await expect(
      flow(
        open,
        readable(() => count(3), ONE),
        transform,
        collector().stage,
      ),
    ).rejects.toThrow('bad step')
    const ending = through<Thing, Thing>({ each: (thing, push) => push(thing), end: bad }, ONE)
    await expect(
      flow(
        open,
        readable(() => count(3), ONE),
        ending,
        collector().stage,
      ),
    ).rejects.toThrow('bad step')
    const final = writable<Thing>({ write: async () => {}, final: async () => bad() }, ONE)
    await expect(
      flow(
        open,
        readable(() => count(3), ONE),
        final,
      ),
    ).rejects.toThrow('bad step')
    async function* source(): AsyncGenerator<Thing, void, void> {
      yield { n: 1 }
      bad()
    }
    await expect(flow(open, readable(source, ONE), collector().stage)).rejects.toThrow('bad step')
  })

  it('keeps a timer of a stage from pushing after the stage is closed', async () => {
    let pushLate: (() => void) | undefined
    const stage = through<Thing, Thing>(
      {
        each(thing, push) {
          push(thing)
          pushLate = () => push({ n: 99 })
        },
      },
      ONE,
    )
    const sink = collector()
    await flow(
      open,
      readable(() => count(2), ONE),
      stage,
      sink.stage,
    )
    pushLate?.()
    await sleep(0.01, open)
    expect(sink.things).toEqual([1, 2])
  })
})

describe('what a flow reads ahead of a stalled sink', () => {
  async function readAhead(stages: number, holdBytes: number, bytes: number): Promise<number> {
    let read = 0
    async function* source() {
      for (let n = 1; n <= 500; n++) {
        read = n
        yield { n, bytes }
      }
    }
    const controller = new AbortController()
    const between = Array.from({ length: stages }, () =>
      through<Thing, Thing>({ each: (thing, push) => push(thing) }, holding(holdBytes)),
    )
    const sink = writable<Thing>(
      { write: (thing) => (thing.n === 1 ? sleep(0.2, controller.signal) : sleep(9, controller.signal)) },
      holding(holdBytes),
    )
    const running = flow(controller.signal, readable(source, holding(holdBytes)), ...between, sink)
    await sleep(0.1, open)
    const seen = read
    controller.abort(new Error('seen'))
    await expect(running).rejects.toThrow('seen')
    return seen
  }

  it('is bounded by bytes, where streamx alone counts 1 KiB an object and reads 17 pages', async () => {
    expect(await readAhead(0, 1, 1 << 20)).toBeLessThanOrEqual(4)
    expect(await readAhead(2, 1, 1 << 20)).toBeLessThanOrEqual(9)
    expect(await readAhead(0, 10 << 20, 1 << 20)).toBeGreaterThan(15)
  })
})
