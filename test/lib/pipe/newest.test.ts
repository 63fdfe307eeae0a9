import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { NewestLine } from '../../../lib/pipe/newest.ts'
import { PipeClosed } from '../../../lib/pipe/out.ts'

const never = new AbortController().signal

/** Takes a line when it is told to. */
function slowReader() {
  const got: string[] = []
  let go: () => void = () => {}
  const write = async (bytes: Uint8Array): Promise<void> => {
    await new Promise<void>((done) => {
      go = done
    })
    got.push(Buffer.from(bytes).toString())
  }
  return { got, out: { write }, read: () => go() }
}

describe('the newest line', () => {
  test('is every line to a reader that keeps up', async () => {
    const got: string[] = []
    const line = new NewestLine({ write: async (bytes) => void got.push(Buffer.from(bytes).toString()) })
    for (const text of ['1', '2', '3']) await line.say(text)
    await line.settled(never)
    expect(got).toEqual(['1\n', '2\n', '3\n'])
  })

  test('goes to a slow reader, who holds nobody up', async () => {
    const { got, out, read } = slowReader()
    const line = new NewestLine(out)
    for (const text of ['1', '2', '3', '4']) await line.say(text)
    read()
    await wait(10)
    read()
    await line.settled(never)
    expect(got).toEqual(['1\n', '4\n'])
  })

  test('is not the only one where each counts: a slow reader is waited for', async () => {
    const { got, out, read } = slowReader()
    const line = new NewestLine(out)
    const saying = (async () => {
      for (const text of ['1', '2', '3']) await line.sayAlways(text)
    })()
    for (let n = 0; n < 3; n++) {
      await wait(10)
      expect(got).toHaveLength(n)
      read()
    }
    await saying
    expect(got).toEqual(['1\n', '2\n', '3\n'])
  })

  test('is not waited for in the end once that is called off', async () => {
    const line = new NewestLine(slowReader().out)
    await line.say('1')
    await line.settled(AbortSignal.timeout(20))
  })

  test('that cannot be written is an error, but not where nobody reads', async () => {
    const failing = new NewestLine({ write: () => Promise.reject(new Error('disk full')) })
    await expect(failing.say('1')).rejects.toThrow('disk full')
    await expect(failing.settled(never)).rejects.toThrow('disk full')
    const closed = new NewestLine({ write: () => Promise.reject(new PipeClosed()) })
    await closed.say('1')
    await closed.say('2')
    await closed.settled(never)
    expect(closed.closed).toBe(true)
  })
})
