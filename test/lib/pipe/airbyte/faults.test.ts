// Whatever is cut, dropped, doubled or thrown into what an Airbyte source says, nothing is published that is not whole.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hear, ROWS, record, status, TALK } from '../../../support/airbyte-talk.ts'
import { joined, keeper, keepingDestination, linesOf, pipeConfig, textSource } from '../../../support/pipe.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-airbyte-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const heard = (lines: readonly string[], options?: Parameters<typeof hear>[2], checkpointPages?: number) =>
  hear(folder, lines, options, checkpointPages)

describe('whatever happens to the lines', () => {
  test('cut at any byte, nothing is published', async () => {
    const text = joined(TALK)
    const config = await pipeConfig(join(folder, 'cut'), textSource([]), keepingDestination(keeper()))
    const { FromPipe } = await import('../../../../lib/pipe/from.ts')
    // The line end of the last line alone is not missed.
    for (let at = 0; at < text.length - 1; at++) {
      const read = async (): Promise<void> => {
        const source = await new FromPipe(one(Buffer.from(text.slice(0, at))), config, { from: 'airbyte' }).open()
        try {
          const { signal } = new AbortController()
          for await (const { next } of source.read({}, { signal })) expect(next, `cut at ${at}`).not.toBeNull()
        } finally {
          await source.close()
        }
      }
      await expect(read(), `cut at ${at}`).rejects.toThrow(/^(?:nothing came|the pipe ended)/)
    }
  })

  test.each<[string, (at: number) => string[], readonly number[]]>([
    ['dropped', (at) => TALK.toSpliced(at, 1), [0, 1, 5, 7]],
    ['doubled', (at) => TALK.toSpliced(at, 0, TALK[at] as string), [0, 1, 8, 9]],
  ])('a record %s is found where the source counts, and so is the end', async (_what, change, harmless) => {
    for (let at = 0; at < TALK.length; at++) {
      const { error: failure, on } = await heard(change(at))
      expect({ at, loaded: !failure }, failure?.message).toEqual({ at, loaded: harmless.includes(at) })
      if (failure) expect(on.published).toEqual([])
    }
  })

  test('a program that drops records on purpose is allowed to', async () => {
    expect((await heard(TALK.toSpliced(2, 1), { allowEdited: true })).error).toBeUndefined()
  })

  test.each([
    ['a record without data', '{"type":"RECORD","record":{"stream":"a","emitted_at":1}}', 'has no data'],
    ['a record without a stream', '{"type":"RECORD","record":{"data":{},"emitted_at":1}}', 'has no stream'],
    ['a state without a stream', '{"type":"STATE","state":{"type":"STREAM"}}', 'no stream_descriptor'],
    ['a state of a type that is not', '{"type":"STATE","state":{"type":"OTHER"}}', 'of type OTHER'],
    ['a status without a stream', '{"type":"TRACE","trace":{"type":"STREAM_STATUS"}}', 'has no stream_descriptor'],
    ['nothing but logs', '{"type":"LOG","log":{"message":"x"}}', 'before its first record'],
  ])('%s is an error', async (_what, line, said) => {
    const { error: failure, on } = await heard([line], { from: 'airbyte' })
    expect(failure?.message).toContain(said)
    expect(on.published).toEqual([])
  })

  test.each([
    ['INCOMPLETE', [...TALK.slice(0, 8), status('a', 'COMPLETE'), status('b', 'INCOMPLETE')], 'INCOMPLETE'],
    ['of a stream without any status', [...TALK, record('c', '{}')], 'of it no status came'],
    ['started again', [...TALK, status('a', 'STARTED')], 'its last status is STARTED'],
  ])('an end that is %s publishes nothing', async (_what, lines, said) => {
    const { error: failure, on } = await heard(lines)
    expect(failure).toMatchObject({ code: 'incomplete', message: expect.stringContaining(said) })
    expect(on.published).toEqual([])
  })

  test('without statuses the end of the input is the end', async () => {
    expect((await heard(TALK.filter((line) => !line.includes('TRACE')))).rows).toEqual(ROWS)
    expect(linesOf(joined(TALK))).toHaveLength(10)
  })
})

async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
