import { appendFile, mkdir, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { silentLog } from '../../../lib/log.ts'
import type { Page, Position, Start } from '../../../lib/source.ts'
import { failure, openFile, pagesOf, type ReadSettings, seenIn, texts, useFolder } from '../../support/file-source.ts'

const folder = useFolder()
const never = new AbortController().signal
const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `{"n":${from + index}}\n`).join('')
const numbers = (found: readonly string[]) => found.map((text) => JSON.parse(text).n)
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

interface Files {
  readonly files: { readonly [path: string]: unknown }
}

/** The position after the first page. */
async function firstPosition(config: object): Promise<Position> {
  for await (const page of openFile(config).read({}, never)) {
    if (page.next !== null) return JSON.parse(JSON.stringify(page.next))
  }
  throw new Error('no position')
}

/** An incremental run: what it gives, and what the next one starts from. */
async function increment(
  config: object,
  since?: unknown,
  log = silentLog,
): Promise<{ found: string[]; since: unknown }> {
  const start = since === undefined ? {} : { since: { time: new Date(), value: since } }
  const pages = await pagesOf(config, { mode: 'incremental', from: start as Start, log })
  expect(pages.at(-1)?.next).toBeNull()
  return { found: seenIn(pages).map(({ text }) => text), since: JSON.parse(JSON.stringify(pages.at(-1)?.watermark)) }
}

describe('a resume', () => {
  it('goes on in a file that grew, and reads files that came', async () => {
    await folder.write('a.ndjson', lines(0, 20))
    const config = { path: folder.path('*.ndjson'), page_bytes: 50 }
    const pages = await pagesOf(config)
    const position = pages[0]?.next as Position
    const first = pages[0]?.records.length as number
    await appendFile(folder.path('a.ndjson'), lines(20, 22))
    await folder.write('b.ndjson', lines(30, 32))
    const rest = numbers(await texts(config, { from: { position } }))
    expect(rest).toEqual([...range(first, 22), 30, 31])
  })

  it.each([
    ['shrank', () => truncate(folder.path('a.ndjson'), 10), /is shorter than the \d+ bytes that were read of it/],
    ['is gone', () => rm(folder.path('a.ndjson')), /a\.ndjson is gone/],
    ['differs', () => writeFile(folder.path('a.ndjson'), lines(10, 40)), /is not the file it was: it differs before/],
  ])('refuses a file that %s, and says how to start over', async (_, change, message) => {
    await folder.write('a.ndjson', lines(0, 20))
    await folder.write('b.ndjson', lines(0, 20))
    const config = { path: folder.path('*.ndjson'), page_bytes: 50 }
    const position = await firstPosition(config)
    await change()
    const failed = await failure(config, { from: { position } })
    expect(failed.code).toBe('source')
    expect(failed.message).toMatch(message)
    expect(failed.hint).toContain('force_ignore_checkpoint: true')
  })

  it.each([
    [
      'replaced',
      /it was replaced/,
      async (path: string, text: string) => {
        await writeFile(`${path}.new`, text)
        await rename(`${path}.new`, path)
      },
    ],
    ['written over in place', /it was written to and is as long as before/, writeFile],
  ] as const)(
    'of a full refresh refuses a file that was %s with rows changed before the position',
    async (_, message, change) => {
      const config = { path: await folder.write('a.ndjson', lines(10, 90)), page_bytes: 400 }
      const position = await firstPosition(config)
      await change(config.path, lines(10, 90).replace('{"n":10}', '{"n":99}'))
      await utimes(config.path, 1, 1) // file systems tell times by the clock's tick
      const failed = await failure(config, { from: { position } })
      expect(failed.message).toMatch(message)
      expect(failed.hint).toContain('force_ignore_checkpoint: true')
    },
  )

  it('of an incremental run looks at the end of what was read alone', async () => {
    const config = { path: await folder.write('a.ndjson', lines(10, 90)), page_bytes: 400 }
    const position = await firstPosition(config)
    const seen = (await pagesOf(config))[0]?.records.length as number
    await rm(config.path)
    await folder.write('a.ndjson', lines(10, 90))
    expect(numbers(await texts(config, { mode: 'incremental', from: { position } }))).toEqual(range(10 + seen, 90))
  })

  it('of an incremental run goes on in a file that is spelled otherwise now', async () => {
    const config = { path: await folder.write('a.ndjson', lines(0, 40)), page_bytes: 50 }
    const { files } = (await firstPosition(config)) as { files: { [path: string]: object } }
    const old = `${folder.path('x')}/.././a.ndjson`
    const [place] = Object.values(files)
    const position = { files: { [old]: { ...place, file: '1.1.1.1' } }, current: old } // the inode tells nothing
    const seen = (await pagesOf(config))[0]?.records.length as number
    const rest = await texts(config, { mode: 'incremental', from: { position } as Start })
    expect(numbers(rest)).toEqual(range(seen, 40))
  })

  it('does not mind that a file it has read to the end is gone', async () => {
    await folder.write('a.ndjson', lines(0, 2))
    await folder.write('b.ndjson', lines(2, 40))
    const config = { path: folder.path('*.ndjson'), page_bytes: 50 }
    const pages = await pagesOf(config)
    const index = pages.findIndex((page) => (page.next as { current?: string } | null)?.current?.endsWith('b.ndjson'))
    await rm(folder.path('a.ndjson'))
    const seen = seenIn(pages.slice(0, index + 1)).length
    const rest = await texts(config, { from: { position: pages[index]?.next as Position } })
    expect(numbers(rest)).toEqual(range(seen, 40))
  })

  it('unpacks a gzip file up to where it was', async () => {
    const config = { path: await folder.write('a.ndjson.gz', gzipSync(lines(0, 100_000))), page_bytes: 100_000 }
    const pages = await pagesOf(config)
    const first = pages[0]?.records.length as number
    const position = pages[0]?.next as Position
    expect(numbers(await texts(config, { from: { position } }))).toEqual(range(first, 100_000))
    await writeFile(config.path, gzipSync(lines(5, 100_000)))
    expect((await failure(config, { from: { position } })).message).toContain('is not the file it was')
    await writeFile(config.path, gzipSync(lines(0, 2)))
    expect((await failure(config, { from: { position } })).message).toContain('is shorter than')
  })

  it('reads the header of a CSV file again', async () => {
    const rows = Array.from({ length: 20 }, (_, n) => `${n},"x\n"\n`).join('')
    const config = { path: await folder.write('a.csv', `\ufeffn,"a\nb"\n${rows}`), page_bytes: 30 }
    const position = await firstPosition(config)
    const all = await pagesOf(config)
    const rest = await pagesOf(config, { from: { position } })
    expect(seenIn(rest)).toEqual(seenIn(all).slice(all[0]?.records.length))
    expect(seenIn(rest).at(-1)?.text).toBe('{"n":"19","a\\nb":"x\\n"}')
  })

  it.each([{ files: 5 }, { files: { a: { offset: -1, line: 0, tail: '' } } }, { cursor: 'x' }])(
    'refuses the position %j of something else',
    async (position) => {
      const config = { path: await folder.write('a.ndjson', lines(0, 2)) }
      expect(await failure(config, { from: { position } as Start })).toMatchObject({ code: 'source' })
    },
  )
})

describe('an incremental read', () => {
  it('gives what was added, and new files, and nothing twice', async () => {
    await folder.write('b.ndjson', lines(0, 3))
    const config = { path: folder.path('*.ndjson'), page_bytes: 10 }
    const first = await increment(config)
    expect(numbers(first.found)).toEqual([0, 1, 2])
    const second = await increment(config, first.since)
    expect(second.found).toEqual([])
    await appendFile(folder.path('b.ndjson'), lines(3, 5))
    await folder.write('a.ndjson', lines(10, 12))
    const third = await increment(config, second.since)
    expect(numbers(third.found)).toEqual([10, 11, 3, 4])
    expect((await increment(config, third.since)).found).toEqual([])
  })

  it('leaves a line that may be half written to the next run, and says so once', async () => {
    for (const [name, line, head, tail] of [
      ['a.ndjson', 2, '{"n":0}\n{"n"', ':1}\n'],
      ['b.ndjson', 2, '{"n":0}\n[1', ']\n{"n":1}\n'],
      ['a.csv', 3, 'n\n0\n"1', '"\n'],
      ['b.csv', 3, 'n\n0\n1', '2\n'],
    ] as const) {
      const config = { path: await folder.write(name, head), page_bytes: 3, on_invalid: 'skip' }
      const warnings: string[] = []
      const log = { ...silentLog, warn: (message: string) => warnings.push(message) }
      const first = await increment(config, undefined, log)
      expect(warnings).toEqual([expect.stringContaining(`${config.path}:${line} has no line end yet`)])
      expect(first.found).toHaveLength(1)
      await appendFile(config.path, tail)
      expect((await increment(config, first.since)).found).toHaveLength(1)
    }
  })

  it('takes a last line of NDJSON that has no line end but is a whole object, and its line end later', async () => {
    for (const lineEnd of ['\n', '\r\n']) {
      const config = { path: await folder.write('a.ndjson', '{"n":0}\n{"n":1}'), page_bytes: 3 }
      const first = await increment(config)
      expect(numbers(first.found)).toEqual([0, 1])
      const idle = await increment(config, first.since)
      expect(idle.found).toEqual([])
      await appendFile(config.path, `${lineEnd}{"n":2}`)
      expect(numbers((await increment(config, idle.since)).found)).toEqual([2])
    }
  })

  it('waits for the first line behind a byte order mark', async () => {
    for (const [name, parts] of [
      ['a.csv', ['', 'n', '\n', '1\n2\n']],
      ['a.ndjson', ['', '{"n"', ':"1"}\n', '{"n":"2"}\n']],
    ] as const) {
      const config = { path: await folder.write(name, '\ufeff') }
      const found: string[] = []
      let since: unknown
      for (const part of parts) {
        await appendFile(config.path, part)
        const run = await increment(config, since)
        found.push(...run.found)
        since = run.since
      }
      expect(found).toEqual(['{"n":"1"}', '{"n":"2"}'])
    }
  })

  it('knows a file by another spelling of its path', async () => {
    const path = await folder.write('a.ndjson', lines(0, 3))
    await mkdir(folder.path('x'))
    const { since } = await increment({ path: `${folder.path('x')}/.././a.ndjson` })
    await appendFile(path, lines(3, 5))
    expect(numbers((await increment({ path }, since)).found)).toEqual([3, 4])
    const stored = {
      files: Object.fromEntries(
        Object.entries((since as Files).files).map(([, place]) => [`${folder.path('x')}/../a.ndjson`, place]),
      ),
    }
    expect(numbers((await increment({ path }, stored)).found)).toEqual([3, 4])
  })

  it('knows files that were renamed, also when a new one has the old name', async () => {
    const config = { path: folder.path('log*'), format: 'ndjson' }
    await folder.write('log', lines(0, 3))
    const first = await increment(config)
    await appendFile(folder.path('log'), lines(3, 4))
    await rename(folder.path('log'), folder.path('log.1'))
    await folder.write('log', lines(4, 6))
    const second = await increment(config, first.since)
    expect(numbers(second.found)).toEqual([4, 5, 3])
    await rename(folder.path('log.1'), folder.path('log.2'))
    await rename(folder.path('log'), folder.path('log.1'))
    const third = await increment(config, second.since)
    expect(third.found).toEqual([])
    await rename(folder.path('log.2'), folder.path('log.3'))
    expect((await increment(config, third.since)).found).toEqual([])
  })

  it('takes a file that was renamed and then filled with something else for new', async () => {
    const config = { path: folder.path('*.ndjson') }
    await folder.write('a.ndjson', lines(0, 3))
    const { since } = await increment(config)
    await rename(folder.path('a.ndjson'), folder.path('b.ndjson'))
    await writeFile(folder.path('b.ndjson'), lines(10, 20))
    expect(numbers((await increment(config, since)).found)).toEqual(range(10, 20))
  })

  it('takes a new file for new, although it got the inode and the content of one that is gone', async () => {
    const config = { path: folder.path('day-*'), format: 'ndjson' }
    await folder.write('day-0', lines(7, 8))
    await folder.write('day-1', lines(0, 3))
    let { since } = await increment(config)
    for (let day = 2; day < 12; day++) {
      await rm(folder.path(`day-${day - 1}`))
      await wait(20) // the clock of the file system must tick
      await folder.write(`day-${day}`, lines(0, 3))
      const next = await increment(config, since)
      expect(numbers(next.found)).toEqual([0, 1, 2])
      since = next.since
    }
  })

  it('says where all files stand on its last page only, and forgets those that are gone', async () => {
    for (const name of ['a.ndjson', 'b.ndjson']) await folder.write(name, lines(0, 40))
    const config = { path: folder.path('*.ndjson'), page_bytes: 50 }
    const pages = await pagesOf(config, { mode: 'incremental' })
    expect(pages.length).toBeGreaterThan(3)
    expect(pages.map((page) => page.watermark !== undefined)).toEqual(pages.map((page) => page.next === null))
    const since = pages.at(-1)?.watermark
    expect(Object.keys((since as unknown as Files).files)).toEqual([folder.path('a.ndjson'), folder.path('b.ndjson')])
    await rm(folder.path('a.ndjson'))
    const next = (await increment(config, since)).since as Files
    expect(Object.keys(next.files)).toEqual([folder.path('b.ndjson')])
  })

  it('after a full refresh takes the line end that came later for what it is', async () => {
    for (const lineEnd of ['\n', '\r\n']) {
      const config = { path: await folder.write('a.ndjson', '{"n":0}\n{"n":1}'), page_bytes: 1 }
      const [full] = (await pagesOf(config)).slice(-1) as [Page]
      await appendFile(config.path, `${lineEnd}{"n":2}\n`)
      const pages = await pagesOf(config, {
        mode: 'incremental',
        from: { since: { time: new Date(), value: full.watermark ?? null } },
      })
      expect(seenIn(pages)).toEqual([{ id: `${config.path}:3`, text: '{"n":2}' }])
    }
  })

  it('after a full refresh refuses a last line that went on', async () => {
    const config = { path: await folder.write('a.csv', 'n\n0\n1') }
    const since = { time: new Date(), value: (await pagesOf(config)).at(-1)?.watermark ?? null }
    await appendFile(config.path, '2\n')
    const failed = await failure(config, { mode: 'incremental', from: { since } })
    expect(failed.message).toContain(`${config.path}:3 was longer than it was when it was read`)
  })

  it('refuses a file that shrank or was replaced, and says how to load it again', async () => {
    const config = { path: await folder.write('a.ndjson', lines(0, 10)) }
    const { since } = await increment(config)
    const settings: ReadSettings = { mode: 'incremental', from: { since: { time: new Date(), value: since } } as Start }
    for (const [content, message] of [
      [lines(0, 5), 'is shorter than'],
      [lines(5, 20), 'is not the file it was'],
    ] as const) {
      await writeFile(config.path, content)
      const failed = await failure(config, settings)
      expect(failed.message).toContain(message)
      expect(failed.hint).toContain('--reset')
    }
  })

  it('does not guess when the last run left no position', async () => {
    const config = { path: await folder.write('a.ndjson', lines(0, 2)) }
    const failed = await failure(config, { mode: 'incremental', from: { since: { time: new Date() } } })
    expect(failed).toMatchObject({ code: 'source', hint: expect.stringContaining('--reset') })
  })

  it('resumes within itself', async () => {
    await folder.write('a.ndjson', lines(0, 3))
    const config = { path: folder.path('*.ndjson'), page_bytes: 10 }
    const { since } = await increment(config)
    await appendFile(folder.path('a.ndjson'), lines(3, 20))
    const from = { since: { time: new Date(), value: since } } as Start
    const pages = await pagesOf(config, { mode: 'incremental', from })
    const position = pages[1]?.next as Position
    const seen = seenIn(pages.slice(0, 2)).length
    const rest = await texts(config, { mode: 'incremental', from: { ...from, position } })
    expect(numbers(rest)).toEqual(range(3 + seen, 20))
  })
})

describe('stream mode', () => {
  it('gives what is added to files and new files, until the signal aborts', async () => {
    const a = await folder.write('a.ndjson', '{"n":0}\n{"n"')
    const controller = new AbortController()
    const config = { path: folder.path('*.ndjson'), poll_interval: 0.01 }
    const found: number[] = []
    const steps = [
      () => appendFile(a, ':1}\n'),
      () => folder.write('b.ndjson', '{"n":2}\n'),
      () => rm(folder.path('b.ndjson')).then(() => appendFile(a, '{"n":3}\n')),
      async () => controller.abort(),
    ]
    const positions: Position[] = []
    for await (const page of openFile(config, { mode: 'stream' }).read({}, controller.signal)) {
      expect(page.next).not.toBeNull()
      expect(page.watermark).toBeUndefined()
      positions.push(page.next as Position)
      found.push(...numbers(seenIn([page]).map(({ text }) => text)))
      if (page.records.length > 0) await steps.shift()?.()
    }
    expect(found).toEqual([0, 1, 2, 3])
    expect(steps).toEqual([])
    const rest = await texts({ path: a }, { from: { position: positions[0] as Position } })
    expect(numbers(rest)).toEqual([1, 3])
  })
})

describe('records so small that a block makes several pages', () => {
  const FORMATS = {
    ndjson: (count: number) => lines(0, count),
    csv: (count: number) => `n\n${range(0, count).join('\n')}\n`,
    json: (count: number) => JSON.stringify(range(0, count).map((n) => ({ n }))),
  } as const
  const COUNTS = [63, 64, 65, 127, 128, 129, 300]
  const formats = Object.keys(FORMATS) as (keyof typeof FORMATS)[]

  it.each(formats.flatMap((format) => COUNTS.map((count) => [count, format] as const)))(
    '%d rows of %s all come, in any mode',
    async (count, format) => {
      const path = await folder.write(`a.${format}`, FORMATS[format](count))
      const config = { path, page_bytes: 5000 }
      const asNumbers = (found: readonly string[]) => found.map((text) => Number(JSON.parse(text).n))
      expect(asNumbers(await texts(config))).toEqual(range(0, count))
      if (format === 'json') return
      const { found, since } = await increment(config)
      expect(asNumbers(found)).toEqual(range(0, count))
      expect((await increment(config, since)).found).toEqual([])
      const stop = new AbortController()
      const seen: string[] = []
      for await (const page of openFile({ ...config, poll_interval: 0.01 }, { mode: 'stream' }).read({}, stop.signal)) {
        seen.push(...seenIn([page]).map(({ text }) => text))
        if (seen.length >= count) stop.abort()
      }
      expect(asNumbers(seen)).toEqual(range(0, count))
    },
  )

  it.each([64, 65, 129])(
    'a last line that is half written is left alone behind %d others, and comes once it is whole',
    async (count) => {
      const path = await folder.write('a.ndjson', `${lines(0, count)}{"n":`)
      const config = { path, page_bytes: 5000 }
      const { found, since } = await increment(config)
      expect(numbers(found)).toEqual(range(0, count))
      await appendFile(path, `${count}}\n`)
      expect(numbers((await increment(config, since)).found)).toEqual([count])
    },
  )
})
