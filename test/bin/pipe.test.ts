// The programs in a shell, as real processes: what a reader or writer that goes away, a closed descriptor, a full disk
// or a signal makes of them, and that nothing is left running.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { addPrograms, type Line, type Ran, startLine } from '../support/shell.ts'

const ROWS = 30_000

let folder: string
let running: Line[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-shell-'))
  await addPrograms(folder)
  const source = { name: 'file', stream: 'events', path: 'in.ndjson', page_bytes: 65536 }
  await writeFile(join(folder, 'in.ndjson'), rows(ROWS))
  await writeFile(join(folder, 'p.yml'), pipelineFile(source))
  await writeFile(join(folder, 'slow.mjs'), SLOW)
  await writeFile(
    join(folder, 'slow.yml'),
    pipelineFile({ name: 'slow', stream: 'events', source_file_path: 'slow.mjs' }),
  )
})
afterEach(async () => {
  for (const line of running) line.kill()
  running = []
  await rm(folder, { recursive: true, force: true })
})

const rows = (count: number): string =>
  Array.from({ length: count }, (_, n) => `${JSON.stringify({ n, text: 'x'.repeat(40) })}\n`).join('')

function pipelineFile(source?: object): string {
  const destination = { name: 'file', config: { destination_id: 'out/events', metadata: 'none' } }
  const backend = { type: 'sqlite', config: { database: 'state', schema: '', syncCursorInDBEvery: 1 } }
  return JSON.stringify({ name: 'shell', source, destination, engine: { backend } })
}

/** A page every 50 ms, for half a minute. */
const SLOW = `
import { setTimeout as wait } from 'node:timers/promises'
import { defineSource, z } from 'bizon'

export default defineSource({
  summary: 'Slow.',
  config: z.strictObject({}),
  streams: () => [{ name: '*', resumable: true }],
  create: () => ({
    async *read({ position }, signal) {
      for (let page = position?.page ?? 0; page < 600 && !signal.aborted; page++) {
        yield { records: [{ id: String(page), data: { page } }], next: { page: page + 1 } }
        await wait(50)
      }
    },
  }),
})
`

function start(script: string): Line {
  const line = startLine(folder, script)
  running.push(line)
  return line
}

const run = (script: string): Promise<Ran> => start(script).ended

const output = (): Promise<string> => readFile(join(folder, 'out', 'events.json'), 'utf8')
const isPublished = (): Promise<boolean> =>
  output().then(
    () => true,
    () => false,
  )
const expectWhole = async (): Promise<void> => expect((await output()) === rows(ROWS)).toBe(true)

describe('a reader that goes away', () => {
  test.each(['bizon-extract', 'bizon-load'])('of the help ends %s without a word', async (program) => {
    const { stderr, codes } = await run(`${program} --help | true`)
    expect({ stderr, codes }).toEqual({ stderr: '', codes: [0, 0] })
  })

  test.each([
    ['singer', '{"type":"STATE"'],
    ['ndjson', '{"n":0,'],
  ])('ends bizon-extract --format %s without a word', async (format, first) => {
    const { codes, stdout, stderr } = await run(`bizon-extract p.yml --quiet --format ${format} | head -n 2`)
    expect({ codes, stderr }).toEqual({ codes: [141, 0], stderr: '' })
    expect(stdout.startsWith(first)).toBe(true)
    expect((await run(`(set -o pipefail; bizon-extract p.yml --quiet | head -n 2 > /dev/null)`)).codes).toEqual([141])
  })

  test.each(['true', 'head -n 1', 'sleep 0.3'])('of the STATE values ( | %s) does not end the load', async (reader) => {
    const { codes, stderr } = await run(`bizon-extract p.yml --quiet | bizon-load p.yml --quiet | ${reader}`)
    expect({ codes, stderr }).toEqual({ codes: [0, 0, 0], stderr: '' })
    await expectWhole()
  })

  test('and one that does not read at all does not hold up the load; it gets the last value', async () => {
    await writeFile(join(folder, 'in.ndjson'), rows(ROWS * 10))
    const reader = '(while [ ! -e out/events.json ]; do sleep 0.1; done; tail -n 1)'
    const { codes, stdout } = await run(`bizon-extract p.yml --quiet | bizon-load p.yml --quiet | ${reader}`)
    expect(codes).toEqual([0, 0, 0])
    expect(JSON.parse(stdout).bizon).toMatchObject({ end: true, rows: ROWS * 10 })
  })
})

describe('a writer that fails', () => {
  test('endless nonsense is refused at its first line', async () => {
    const { codes, stderr } = await run('yes | bizon-load p.yml --quiet')
    expect(codes).toEqual([141, 1])
    expect(stderr).toContain('Error: line 1 of the pipe: it is not JSON, from byte 1 on: y\n')
  })

  test.each(['<&-', '< /dev/null'])(
    'no input at all ( %s ) is an error unless bare records are expected',
    async (input) => {
      const { codes, stderr } = await run(`bizon-load p.yml --quiet ${input}`)
      expect(codes).toEqual([1])
      expect(stderr).toContain('Error: nothing came through the pipe')
      expect(await isPublished()).toBe(false)
      expect((await run(`bizon-load p.yml --quiet --from ndjson ${input}`)).codes).toEqual([0])
      expect(await isPublished()).toBe(false) // nothing was to be added
    },
  )

  test('on either side shows in the exit code with pipefail', async () => {
    const fails = async (line: string): Promise<readonly number[]> => (await run(`(set -o pipefail; ${line})`)).codes
    expect(await fails('bizon-extract p.yml -q | bizon-load p.yml -q > /dev/null')).toEqual([0])
    expect(await fails('bizon-extract no.yml -q | bizon-load p.yml -q')).toEqual([1])
    expect(await fails('bizon-extract p.yml -q | bizon-load no.yml -q')).toEqual([2])
    expect((await run('bizon-extract no.yml -q | bizon-load p.yml -q')).codes).toEqual([2, 1])
    expect((await run('bizon-extract p.yml -q | bizon-load no.yml -q')).codes).toEqual([141, 2])
  })

  test('a silent one is waited for as long as --stall-timeout says', async () => {
    /** Says nothing more until the loader has ended. */
    const silence = 'until [ -e ended ]; do sleep 0.1; done; rm ended'
    const load = (seconds: number): string =>
      `(bizon-load p.yml --quiet --stall-timeout ${seconds}; code=$?; touch ended; exit $code)`
    const { codes, stderr } = await run(`(${silence}) | ${load(0.5)}`)
    expect(codes).toEqual([0, 1])
    expect(stderr).toContain('Error: nothing came through the pipe for 0.5 s')
    const silent = `(bizon-extract p.yml -q --format ndjson | head -n 3; ${silence}) | ${load(1.5)}`
    expect((await run(silent)).codes).toEqual([0, 1])
    expect(await isPublished()).toBe(false)
  })
})

describe('descriptors', () => {
  test('without standard error both do their work', async () => {
    const { codes, stdout } = await run('bizon-extract p.yml 2>&- | bizon-load p.yml 2>&- | tail -n 1')
    expect(codes).toEqual([0, 0, 0])
    expect(JSON.parse(stdout).bizon.end).toBe(true)
    await expectWhole()
  })

  test('without standard output the load does its work', async () => {
    expect((await run('bizon-extract p.yml -q | bizon-load p.yml -q >&-')).codes).toEqual([0, 0])
    await expectWhole()
  })

  test('a full disk behind standard output fails, on either side', async () => {
    const extracted = await run('bizon-extract p.yml -q > /dev/full')
    expect(extracted).toMatchObject({ codes: [1] })
    expect(extracted.stderr).toContain('Error: cannot write to standard output: ENOSPC')
    const loaded = await run('bizon-extract p.yml -q | bizon-load p.yml -q > /dev/full')
    expect(loaded.codes[1]).toBe(1)
    expect(loaded.stderr).toContain('Error: cannot write to standard output: ENOSPC')
    expect(await isPublished()).toBe(false)
  })

  test('standard error that is full ends neither', async () => {
    const { codes } = await run('bizon-extract p.yml 2> /dev/full | bizon-load p.yml 2> /dev/full > /dev/null')
    expect(codes).toEqual([0, 0])
    await expectWhole()
  })
})

describe('programs between', () => {
  const whole = (between: string, options = ''): Promise<Ran> =>
    run(`bizon-extract p.yml -q | ${between} | bizon-load p.yml -q ${options} > /dev/null`)

  test.each(['gzip | gzip -d', 'jq -c .', 'tee copy', 'dd bs=7 status=none'])('%s changes nothing', async (between) => {
    await writeFile(join(folder, 'in.ndjson'), rows(2000))
    const { codes, stderr } = await whole(between)
    expect({ codes: new Set(codes), stderr }).toEqual({ codes: new Set([0]), stderr: '' })
    expect((await output()) === rows(2000)).toBe(true)
  })

  test('a program that drops records is found, unless that is allowed', async () => {
    await writeFile(join(folder, 'in.ndjson'), rows(50))
    const between = `grep -v '"record":{"n":3.,'`
    const { codes, stderr } = await whole(between)
    expect(codes.at(-1)).toBe(1)
    expect(stderr).toContain('so that 10 records are missing')
    expect(stderr).toContain('--allow-edited')
    expect(await isPublished()).toBe(false)
    expect((await whole(between, '--allow-edited')).codes.at(-1)).toBe(0)
    expect((await output()).trimEnd().split('\n')).toHaveLength(40)
  })

  test('one that drops the end is found, whatever is allowed', async () => {
    const { codes, stderr } = await whole(`grep -v '"end":true'`, '--allow-edited')
    expect(codes.at(-1)).toBe(1)
    expect(stderr).toContain('Error: the pipe ended without the end of the run')
    expect(await isPublished()).toBe(false)
  })

  test('bare records go through any program that reads JSON, out and in again', async () => {
    await writeFile(join(folder, 'in.ndjson'), rows(50))
    const select = `jq -c 'select(.n >= 48) | .n'`
    expect(await run(`bizon-extract p.yml -q --format ndjson | ${select}`)).toMatchObject({ stdout: '48\n49\n' })
    await writeFile(join(folder, 'into.yml'), pipelineFile())
    const line = `bizon-extract p.yml -q --format ndjson | jq -c 'select(.n < 2)' | bizon-load into.yml -q --id n`
    expect(await run(line)).toEqual({ codes: [0, 0, 0], stdout: '', stderr: '' })
    expect(await output()).toBe(rows(2))
  })

  test('a tap of two lines of shell', async () => {
    const schema = '{"type":"SCHEMA","stream":"a","schema":{},"key_properties":["id"]}'
    const records = `jq -nc '{type:"RECORD",stream:"a",record:{id:(1,2)}},{type:"STATE",value:{at:2}}'`
    const { codes, stdout } = await run(`(echo '${schema}'; ${records}) | bizon-load p.yml -q`)
    expect({ codes, stdout }).toEqual({ codes: [0, 0], stdout: '{"at":2}\n' })
    expect(await output()).toBe('{"id":1}\n{"id":2}\n')
  })
})

describe('signals', () => {
  const line = 'bizon-extract slow.yml -q | bizon-load slow.yml -q'

  test.each<[NodeJS.Signals, string, readonly number[]]>([
    ['SIGTERM', 'bizon-extract', [143, 1]],
    ['SIGTERM', 'bizon-load', [141, 143]],
    ['SIGINT', 'bizon-extract', [130, 1]],
    ['SIGINT', 'bizon-load', [141, 130]],
    ['SIGKILL', 'bizon-extract', [137, 1]],
    ['SIGKILL', 'bizon-load', [141, 137]],
  ])('%s to %s ends both, publishes nothing, and the next line goes on', async (name, program, codes) => {
    const first = start(line)
    await first.until('"page":3')
    await first.signal(name, program)
    expect((await first.ended).codes).toEqual(codes)
    expect(await isPublished()).toBe(false)
    const next = start(line)
    await next.until('"page":')
    await next.signal('SIGTERM')
    const { stdout } = await next.ended
    expect(JSON.parse(stdout.split('\n')[0] as string).bizon.page).toBeGreaterThan(3)
  })

  test.each<[NodeJS.Signals, readonly number[]]>([
    ['SIGINT', [130, 130]],
    ['SIGTERM', [143, 143]],
  ])('%s to the whole group ends both with the same code', async (name, codes) => {
    const both = start(line)
    await both.until('"page":3')
    await both.signal(name)
    const { codes: got, stdout } = await both.ended
    expect(got).toEqual(codes)
    expect(await isPublished()).toBe(false)
    expect(stdout.trimEnd().split('\n').length).toBeGreaterThanOrEqual(3)
  })

  test('to a load that nobody sends anything', async () => {
    const silence = 'until [ -e ended ]; do sleep 0.1; done; rm ended'
    const silent = start(`(${silence}) | (bizon-load slow.yml -q; code=$?; touch ended; exit $code)`)
    await wait(900)
    await silent.signal('SIGTERM', 'bizon-load')
    expect((await silent.ended).codes).toEqual([0, 143])
  })
})
