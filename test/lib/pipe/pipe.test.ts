// Both halves of a pipeline, with the lines between them in the test's hands: cut, dropped, doubled, moved. Whatever
// becomes of them, nothing is lost, nothing doubled, and nothing is published that is not whole.

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PipelineConfig } from '../../../lib/config.ts'
import { extract } from '../../../lib/extract.ts'
import { load } from '../../../lib/load.ts'
import { FromPipe, type FromPipeOptions } from '../../../lib/pipe/from.ts'
import { extractTo } from '../../../lib/pipe/to.ts'
import { pipeline } from '../../../lib/pipeline.ts'
import { testConfig } from '../../support/engine.ts'
import { type Script, type Shelf, scriptedSource, shelf, shelfDestination } from '../../support/shelf.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-pipe-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

interface Parts extends Partial<Script> {
  readonly keys?: { readonly [key: string]: unknown }
  /** Where the state is; by default both halves share it. */
  readonly state?: string
}

async function configOf(on: Shelf, { keys = {}, state = 'shared', ...script }: Parts = {}): Promise<PipelineConfig> {
  await mkdir(join(folder, state), { recursive: true })
  return testConfig({
    folder: join(folder, state),
    source: scriptedSource({ pages: [2, 0, 2, 1], ...script }),
    destination: shelfDestination(on),
    sourceKeys: keys,
  })
}

/** What the extractor writes. */
async function written(config: PipelineConfig, stop?: AbortSignal): Promise<string> {
  const chunks: Buffer[] = []
  const out = { write: async (bytes: Uint8Array): Promise<void> => void chunks.push(Buffer.from(bytes)) }
  await extractTo(extract(config), out, { ...(stop && { stop }) })
  return Buffer.concat(chunks).toString()
}

async function loaded(config: PipelineConfig, bytes: string | Buffer, options: FromPipeOptions = {}) {
  const said: string[] = []
  const acknowledged = (value: { toString(): string }): void => void said.push(value.toString())
  const from = new FromPipe(chunksOf(Buffer.from(bytes)), config, { acknowledged, ...options })
  const outcome = await pipeline(from, load(config))
  return { outcome, said }
}

async function* chunksOf(bytes: Buffer, size = bytes.length): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const linesOf = (text: string): string[] => text.trimEnd().split('\n')
const joined = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('')

describe('a pipe', () => {
  test('carries every page, and what is durable is told behind each', async () => {
    const on = shelf()
    const config = await configOf(on)
    const lines = await written(config)
    const { outcome, said } = await loaded(config, lines)
    expect(outcome).toMatchObject({ status: 'complete', rows: 5, pages: 4 })
    expect(on.published).toEqual(upTo(5))
    expect(said.map((value) => JSON.parse(value).bizon.page)).toEqual([1, 2, 3, 4])
    expect(JSON.parse(said.at(-1) ?? '').bizon).toMatchObject({ end: true, rows: 5, position: null })
  })

  test('gives the same whatever the size of its chunks', async () => {
    for (const size of [1, 7, 64, 1000]) {
      const on = shelf()
      const config = await configOf(on, { state: `of-${size}` })
      const bytes = Buffer.from(await written(config))
      await pipeline(new FromPipe(chunksOf(bytes, size), config), load(config))
      expect(on.published).toEqual(upTo(5))
    }
  })

  test('goes on where the loader stands, by the state store that both name', async () => {
    const on = shelf()
    const config = await configOf(on)
    const lines = linesOf(await written(config))
    const cut = lines.findIndex((line) => line.includes('"page":3'))
    await expect(loaded(config, joined(lines.slice(0, cut + 1)))).rejects.toMatchObject({ code: 'incomplete' })
    expect(on.published).toEqual([])
    const rest = await written(config)
    expect(linesOf(rest).filter((line) => line.includes('"RECORD"'))).toHaveLength(1)
    expect((await loaded(config, rest)).outcome).toMatchObject({ status: 'complete', rows: 1, totalRows: 5 })
    expect(on.published).toEqual(upTo(5))
  })

  test('that begins before the place of the loader is passed over up to there', async () => {
    const on = shelf()
    const [one, other] = [await configOf(on), await configOf(on, { state: 'another' })]
    const lines = linesOf(await written(one))
    const cut = lines.findIndex((line) => line.includes('"page":2'))
    await expect(loaded(one, joined(lines.slice(0, cut + 1)))).rejects.toMatchObject({ code: 'incomplete' })
    // The producer has another store, and knows nothing of that.
    expect((await loaded(one, await written(other))).outcome).toMatchObject({
      status: 'complete',
      rows: 3,
      totalRows: 5,
    })
    expect(on.published).toEqual(upTo(5))
  })

  test('that was read again with other pages is not gone on with', async () => {
    const on = shelf()
    const [one, other] = [await configOf(on), await configOf(on, { state: 'another', pages: [2, 2, 1] })]
    const lines = linesOf(await written(one))
    const end = lines.findIndex((line) => line.includes('"page":3,"rows":4'))
    await expect(loaded(one, joined(lines.slice(0, end + 1)))).rejects.toMatchObject({ code: 'incomplete' })
    await expect(loaded(one, await written(other))).rejects.toThrow('gave other pages')
    expect(on.published).toEqual([])
  })

  test('that begins behind the place of the loader is refused', async () => {
    const on = shelf()
    const config = await configOf(on)
    const lines = linesOf(await written(config))
    await expect(loaded(config, joined(lines.slice(0, 8)))).rejects.toMatchObject({ code: 'incomplete' })
    const rest = await written(config)
    await expect(loaded(await configOf(shelf(), { state: 'fresh' }), rest)).rejects.toMatchObject({
      message: 'the pipe begins behind page 2, and the destination holds 0 pages; nothing was loaded',
    })
  })

  test('incremental: the next run reads what is newer, and the one after it too', async () => {
    const on = shelf()
    const keys = { sync_mode: 'incremental' }
    for (const pages of [[2], [2, 1], [2, 1, 2]]) {
      const config = await configOf(on, { keys, pages })
      await loaded(config, await written(config))
      expect(on.published).toEqual(upTo(pages.reduce((sum, size) => sum + size, 0)))
    }
  })

  test('incremental: what is newer than another run than the last is refused', async () => {
    const on = shelf()
    const keys = { sync_mode: 'incremental' }
    const config = await configOf(on, { keys, pages: [2] })
    const first = await written(config)
    await loaded(config, first)
    const second = await written(await configOf(on, { keys, pages: [2, 1] }))
    await loaded(config, second)
    // What is published already is no harm, and is told once more: its producer had not heard of it.
    const { outcome, said } = await loaded(config, second)
    expect(outcome).toMatchObject({ status: 'complete', rows: 0 })
    expect(said.map((value) => JSON.parse(value).bizon.end)).toEqual([true])
    const third = await written(await configOf(on, { keys, pages: [2, 1, 1] }))
    await loaded(config, third)
    await expect(loaded(config, second)).rejects.toThrow('the pipe holds what came after run')
    await expect(loaded(config, first)).rejects.toThrow('the pipe holds from the beginning')
    expect(on.published).toEqual(upTo(4))
  })

  test('of a run that was stopped has no end, and publishes nothing', async () => {
    const on = shelf()
    const stop = new AbortController()
    const interfere = (step: string) => (step === 'fetch' ? stop.abort() : undefined)
    const config = await configOf(on, { interfere })
    await expect(loaded(config, await written(config, stop.signal))).rejects.toMatchObject({ code: 'incomplete' })
    expect(on.published).toEqual([])
  })

  test('of a stream has no end: it may stop behind a page, and only there', async () => {
    const config = await configOf(shelf(), { keys: { sync_mode: 'stream' }, pages: [1, 1, 1] })
    const lines = linesOf(await written(config)).filter((line) => !line.includes('"end":true'))
    const upToPage = (page: number): string[] =>
      lines.slice(0, lines.findIndex((line) => line.includes(`"page":${page},`)) + 1)
    const { outcome } = await loaded(config, joined(upToPage(2)))
    expect(outcome).toMatchObject({ status: 'stopped', rows: 2, checkpoints: 2 })
    const within = [...upToPage(2), lines[upToPage(2).length] ?? '']
    for (const cut of [joined(within), `${joined(upToPage(2))}{"type":"RECO`]) {
      const other = await configOf(shelf(), { keys: { sync_mode: 'stream' }, state: `cut-${cut.length}` })
      await expect(loaded(other, cut)).rejects.toMatchObject({ code: 'incomplete' })
    }
  })

  test('is not needed when the destination holds the end already: the producer says so, and only the publish is left', async () => {
    const on = shelf()
    let published = 0
    const config = await testConfig({
      folder,
      source: scriptedSource({ pages: [2, 1] }),
      destination: shelfDestination(on, (step) => {
        if (step === 'publish' && ++published === 1) throw new Error('no')
      }),
    })
    await expect(loaded(config, await written(config))).rejects.toThrow('no')
    const again = await written(config)
    expect(again).not.toContain('RECORD')
    await loaded(config, again)
    expect(on.published).toEqual(upTo(3))
  })
})

describe('what is something else than was said', () => {
  test('is refused: a pipe of ours as bare records', async () => {
    const on = shelf()
    const config = await configOf(on)
    const lines = await written(config)
    for (const from of ['ndjson', 'csv'] as const) {
      await expect(loaded(config, lines, { from })).rejects.toThrow(
        `what comes is the pipe of a bizon-extract, not ${from}`,
      )
    }
    expect(on.published).toEqual([])
  })

  test('is not published as nothing: lines of which none is a record', async () => {
    const on = shelf()
    const config = await configOf(on)
    await expect(loaded(config, '{\n"n": 1\n}\n', { onInvalid: 'skip' })).rejects.toMatchObject({
      message: 'none of the 3 lines that came is a record; nothing was loaded',
      hint: expect.stringContaining('--from csv'),
    })
    expect(on.published).toEqual([])
    await loaded(config, '{\n{"n": 1}\n', { onInvalid: 'skip' })
    expect(on.published).toEqual([1])
  })
})

describe('whatever happens to the lines', () => {
  /** Loads what became of them, then runs the same line again to the end. */
  async function survives(change: (lines: string) => string, options: FromPipeOptions = {}): Promise<string> {
    const on = shelf()
    const config = await configOf(on, { state: `state-${Math.random()}`, pages: [2, 1] })
    const said = await loaded(config, change(await written(config)), options).then(
      () => 'loaded',
      (error: Error) => error.message,
    )
    if (said !== 'loaded') {
      expect(on.published, said).toEqual([])
      await loaded(config, await written(config))
    }
    expect(on.published, said).toEqual(upTo(3))
    return said
  }

  test('cut at any byte, it is told that it was, and no page is taken for the last', async () => {
    const config = await configOf(shelf(), { pages: [2, 1] })
    const bytes = Buffer.from(await written(config))
    for (let at = 0; at < bytes.length; at++) {
      const read = async (): Promise<void> => {
        const source = await new FromPipe(chunksOf(bytes.subarray(0, at)), config).open()
        try {
          const signal = new AbortController().signal
          for await (const { next } of source.read({}, { signal })) expect(next, `cut at ${at}`).not.toBeNull()
        } finally {
          await source.close()
        }
      }
      await expect(read(), `cut at ${at}`).rejects.toThrow(/^(?:nothing came|the pipe ended|line 1 )/)
    }
  })

  test('cut somewhere, it publishes nothing, and the next run is whole', async () => {
    const { length } = await written(await configOf(shelf(), { state: 'x', pages: [2, 1] }))
    for (let at = 3; at < length; at += 83) expect(await survives((text) => text.slice(0, at))).not.toBe('loaded')
  })

  test.each<[string, (lines: string[], at: number) => string[], readonly number[]]>([
    // Its lines: 0 the beginning, 1 SCHEMA, 2 and 3 RECORD, 4 STATE, 5 RECORD, 6 STATE with the end.
    ['dropped', (lines, at) => lines.toSpliced(at, 1), []],
    ['doubled', (lines, at) => lines.toSpliced(at, 0, lines[at] as string), [1]],
    ['moved behind the next', (lines, at) => lines.toSpliced(at, 2, lines[at + 1] ?? '', lines[at] as string), [6]],
    ['cut short', (lines, at) => lines.toSpliced(at, 1, (lines[at] as string).slice(0, 40)), []],
  ])('a line %s is found, each of them', async (_what, change, harmless) => {
    for (let at = 0; at < 7; at++) {
      const said = await survives((text) => joined(change(linesOf(text), at)))
      expect({ at, loaded: said === 'loaded' }, said).toEqual({ at, loaded: harmless.includes(at) })
    }
  })

  test('records that a program drops on purpose are no error with allowEdited, all else still is', async () => {
    const on = shelf()
    const config = await configOf(on)
    const lines = linesOf(await written(config))
    const edited = joined(lines.filter((line) => !/"n":(?:2|5),/.test(line)))
    await expect(loaded(config, edited)).rejects.toMatchObject({ hint: expect.stringContaining('--allow-edited') })
    await loaded(
      config,
      await written(config).then((text) => joined(linesOf(text).filter((line) => !/"n":(?:2|5),/.test(line)))),
      { allowEdited: true },
    )
    expect(on.published).toEqual([0, 2, 3])
    const said = await survives((text) => joined(linesOf(text).slice(0, -1)), { allowEdited: true })
    expect(said).toContain('the pipe ended without the end')
    expect(await survives((text) => joined(linesOf(text).toSpliced(4, 1)), { allowEdited: true })).toContain(
      'page 2 follows page 0',
    )
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
})
