// Our own two halves in Airbyte messages: what is written is what the protocol asks for, and whatever happens to the
// lines between them, nothing is lost, nothing doubled, and nothing is published that is not whole.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FromPipe } from '../../../../lib/pipe/from.ts'
import { complaintsOfMessages } from '../../../support/airbyte.ts'
import {
  joined,
  keeper,
  keepingDestination,
  linesOf,
  loaded,
  pipeConfig,
  textSource,
  written,
} from '../../../support/pipe.ts'

let folder: string
let states = 0
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-airbyte-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const PAGES = [['{"n":1.10}', '{"n":-0}'], [], ['{ "n" : 9007199254740993 , "é":"\\u00e9" }']]
const ALL = PAGES.flat().map((text, id) => `numbers ${id} ${text}`)

const on = keeper()
const configOf = (target = on, pages = PAGES, failsAt?: number) =>
  pipeConfig(join(folder, `state-${++states}`), textSource(pages, failsAt), keepingDestination(target))
const messagesOf = (text: string) => linesOf(text).map((line) => JSON.parse(line))

describe('what is written', () => {
  test('is Airbyte, says how far the stream is, and ends with COMPLETE', async () => {
    const { text } = await written(await configOf(), 'airbyte')
    expect(complaintsOfMessages(linesOf(text))).toEqual([])
    const kinds = messagesOf(text).map(
      ({ type, trace, state }) => trace?.stream_status.status ?? (state ? state.sourceStats.recordCount : type),
    )
    expect(kinds).toEqual([0, 'STARTED', 'RUNNING', 'RECORD', 'RECORD', 2, 0, 'RECORD', 1, 'COMPLETE'])
    for (const payload of PAGES.flat()) expect(text).toContain(`"data":${payload}}}\n`)
  })

  test('of a source that fails ends with INCOMPLETE behind what it gave', async () => {
    const { text, error } = await written(await configOf(on, PAGES, 2), 'airbyte')
    expect(error).toMatchObject({ message: 'the API is gone' })
    expect(messagesOf(text).at(-1)?.trace.stream_status.status).toBe('INCOMPLETE')
    expect(complaintsOfMessages(linesOf(text))).toEqual([])
    const target = keeper()
    expect((await loaded(await configOf(target), text)).error).toMatchObject({ code: 'incomplete' })
    expect(target.published).toEqual([])
    expect(target.committed?.rows).toEqual(ALL.slice(0, 2))
  })

  test('of a run that is stopped ends with INCOMPLETE', async () => {
    const stop = new AbortController()
    const source = textSource(PAGES)
    const config = await pipeConfig(
      join(folder, 'stopped'),
      {
        ...source,
        create: (options, context) => ({
          async *read(from, signal) {
            for await (const page of source.create(options, context).read(from, signal)) {
              yield page
              stop.abort()
            }
          },
        }),
      },
      keepingDestination(on),
    )
    const { text } = await written(config, 'airbyte', { stop: stop.signal })
    expect(messagesOf(text).at(-1)?.trace.stream_status.status).toBe('INCOMPLETE')
  })
})

describe('what is loaded', () => {
  test('is every byte of it, whatever the size of the chunks, and each STATE comes back with a count', async () => {
    for (const size of [1, 7, 64, 10_000]) {
      const target = keeper()
      const config = await configOf(target)
      const { text } = await written(config, 'airbyte')
      const { said, error } = await loaded(config, text, { size })
      expect(error).toBeUndefined()
      expect(target.published).toEqual(ALL)
      expect(complaintsOfMessages(said)).toEqual([])
      const sent = linesOf(text).filter((line) => line.includes('"STATE"'))
      expect(said.map((line) => line.replace(/,"destinationStats":\{"recordCount":\d+\.0\}/, ''))).toEqual(
        sent.slice(1),
      )
      expect(said.map((line) => JSON.parse(line).state.destinationStats.recordCount)).toEqual([2, 0, 1])
    }
  })

  test('goes on where the destination stands', async () => {
    const target = keeper()
    const config = await configOf(target)
    const lines = linesOf((await written(config, 'airbyte')).text)
    const cut = lines.findIndex((line) => line.includes('"page":2'))
    expect((await loaded(config, joined(lines.slice(0, cut + 1)))).error).toMatchObject({ code: 'incomplete' })
    const rest = (await written(config, 'airbyte')).text
    expect(linesOf(rest).filter((line) => line.includes('"RECORD"'))).toHaveLength(1)
    // The whole again, by a producer that knows nothing of what is held, is passed over up to there.
    expect((await loaded(config, rest)).error).toBeUndefined()
    expect(target.published).toEqual(ALL)
  })

  test('goes on behind the last line that was printed', async () => {
    const config = await configOf()
    const { text } = await written(config, 'airbyte')
    const cut = linesOf(text).findIndex((line) => line.includes('"page":2'))
    const { said } = await loaded(config, joined(linesOf(text).slice(0, cut + 1)))
    const from = join(folder, 'states.jsonl')
    await writeFile(from, joined(said))
    const rest = await written(await configOf(), 'airbyte', { from })
    expect(linesOf(rest.text).filter((line) => line.includes('"RECORD"'))).toHaveLength(1)
    await writeFile(from, '{"type":"STATE","state":{"data":{}}}\n')
    expect((await written(config, 'airbyte', { from })).error).toMatchObject({ code: 'usage' })
  })

  test('that begins before the place of the loader is passed over up to there', async () => {
    const target = keeper()
    const config = await configOf(target)
    const lines = linesOf((await written(config, 'airbyte')).text)
    const cut = lines.findIndex((line) => line.includes('"page":2'))
    await loaded(config, joined(lines.slice(0, cut + 1)))
    const { text } = await written(await configOf(target), 'airbyte')
    const { error, said } = await loaded(config, text)
    expect(error).toBeUndefined()
    expect(said).toHaveLength(1)
    expect(target.published).toEqual(ALL)
  })
})

describe('whatever happens to the lines', () => {
  async function survives(change: (text: string) => string): Promise<string> {
    const target = keeper()
    const config = await configOf(target, [['{"n":0}', '{"n":1}'], ['{"n":2}']])
    const all = [0, 1, 2].map((n) => `numbers ${n} {"n":${n}}`)
    const { error } = await loaded(config, change((await written(config, 'airbyte')).text))
    if (error) {
      expect(target.published, error.message).toEqual([])
      await loaded(config, (await written(config, 'airbyte')).text)
    }
    expect(target.published.map(withoutBlanks)).toEqual(all)
    return error?.message ?? 'loaded'
  }

  test('cut at any byte, it is told that it was, and no page is taken for the last', async () => {
    const config = await configOf()
    const bytes = Buffer.from((await written(config, 'airbyte')).text)
    for (let at = 0; at < bytes.length; at++) {
      const read = async (): Promise<void> => {
        const source = await new FromPipe(one(bytes.subarray(0, at)), config).open()
        try {
          const { signal } = new AbortController()
          for await (const { next } of source.read({}, { signal })) expect(next, `cut at ${at}`).not.toBeNull()
        } finally {
          await source.close()
        }
      }
      await expect(read(), `cut at ${at}`).rejects.toThrow(/^(?:nothing came|the pipe ended|line 1 )/)
    }
  })

  test('cut somewhere, it publishes nothing, and the next run is whole', async () => {
    const { length } = (await written(await configOf(on, [['{"n":0}', '{"n":1}'], ['{"n":2}']]), 'airbyte')).text
    for (let at = 3; at < length; at += 307) expect(await survives((text) => text.slice(0, at))).not.toBe('loaded')
  })

  test.each<[string, (lines: string[], at: number) => string[], readonly number[]]>([
    // Its lines: 0 the beginning, 1 STARTED, 2 RUNNING, 3 and 4 RECORD, 5 STATE, 6 RECORD, 7 STATE with the end, 8
    // COMPLETE. What is said of progress may be missing, or said twice.
    ['dropped', (lines, at) => lines.toSpliced(at, 1), [1, 2]],
    ['doubled', (lines, at) => lines.toSpliced(at, 0, lines[at] as string), [1, 2, 8]],
    [
      'moved behind the next',
      (lines, at) => lines.toSpliced(at, 2, lines[at + 1] ?? '', lines[at] as string),
      [1, 2, 7, 8],
    ],
    ['cut short', (lines, at) => lines.toSpliced(at, 1, (lines[at] as string).slice(0, 40)), []],
  ])('a line %s is found, each of them', async (_what, change, harmless) => {
    for (let at = 0; at < 9; at++) {
      const said = await survives((text) => joined(change(linesOf(text), at)))
      expect({ at, loaded: said === 'loaded' }, said).toEqual({ at, loaded: harmless.includes(at) })
    }
  })

  test('keys in another order, blanks and blank lines are no harm', async () => {
    const said = await survives((text) =>
      linesOf(text)
        .map((line) => JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(line)).reverse()), null, ' '))
        .map((line) => `${line.replaceAll('\n', ' ')}\r\n\n`)
        .join(''),
    )
    expect(said).toBe('loaded')
  })

  test('without its first line it is not taken for another program’s', async () => {
    expect(await survives((text) => joined(linesOf(text).slice(1)))).toContain('whose first line is missing')
  })
})

/** In a payload; what stands before it has two. */
function withoutBlanks(row: string): string {
  const [stream, id, ...payload] = row.split(' ')
  return `${stream} ${id} ${payload.join('')}`
}

async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
