// What is the same for every kind of script: order, failures, and transforms as a part of a pipeline.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { extract } from '../../lib/extract.ts'
import { load } from '../../lib/load.ts'
import { pipeline } from '../../lib/pipeline.ts'
import { textOf } from '../../lib/record.ts'
import { transform } from '../../lib/steps.ts'
import type { ScriptKind } from '../../lib/transform/config.ts'
import { openTransforms, scriptsOf } from '../../lib/transforms.ts'
import { testConfig } from '../support/engine.ts'
import { never } from '../support/load.ts'
import { type Shelf, scriptedSource, shelf, shelfDestination } from '../support/shelf.ts'
import { javascript, keptLog, python, step, textsAfter } from '../support/transforms.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-transforms-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function moduleOf(code: string, name = 'module.mjs'): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, code)
  return path
}

describe('a module', () => {
  test.each<[string, string, string[]]>([
    ['default gets pages', 'export default (records) => records.slice(1)', ['{"n":2}', '{"n":3}']],
    ['default may wait', 'export default async (records) => records', ['{"n":1}', '{"n":2}', '{"n":3}']],
    ['each gets the data', 'export const each = (data) => { data.n *= 2 }', ['{"n":2}', '{"n":4}', '{"n":6}']],
    ['each may wait', 'export const each = async (data) => ({ m: data.n })', ['{"m":1}', '{"m":2}', '{"m":3}']],
    [
      'each may drop and add',
      'export const each = ({ n }) => (n === 1 ? null : n === 2 ? [{ n: 20 }, { n: 21 }] : undefined)',
      ['{"n":20}', '{"n":21}', '{"n":3}'],
    ],
    ['each cannot set its data', 'export const each = (data) => { data = null }', ['{"n":1}', '{"n":2}', '{"n":3}']],
  ])('%s', async (_title, code, expected) => {
    const config = step('module', await moduleOf(code))
    expect(await textsAfter(config, ['{"n":1}', '{"n":2}', '{"n":3}'])).toEqual(expected)
  })

  test.each<[string, string, string]>([
    ['no export', 'export const x = 1', 'must export one function, default or each; it exports neither'],
    ['both', 'export default () => []\nexport const each = () => {}', 'it exports both'],
    [
      'it returns nothing',
      'export default () => {}',
      'record "1": TypeError: it returned undefined; it must return a list of records',
    ],
    ['a record without id', 'export default () => [{}]', 'record "1": TypeError: it returned a record without an id'],
    [
      'a record without data',
      'export default () => [{ id: "a" }]',
      'record "1": TypeError: it returned a record whose data is undefined',
    ],
    [
      'it throws',
      'export const each = () => { throw new RangeError("no") }',
      'transform tidy, line 1, record "1": RangeError: no',
    ],
    [
      'it never ends',
      'export const each = () => new Promise(() => {})',
      'transform tidy, record "1": it took longer than 0.1 s',
    ],
    [
      'a record with a time that is none',
      'export default (records) => records.map((record) => ({ ...record, timestamp: 5 }))',
      'record "1": TypeError: record.timestamp must be a Date or RFC 3339 text, got 5',
    ],
    [
      'a record with data that is not JSON',
      'export default (records) => records.map((record) => ({ ...record, data: { n: NaN } }))',
      'record "1": TypeError: NaN is not JSON',
    ],
  ])('%s', async (_title, code, expected) => {
    await expect(textsAfter(step('module', await moduleOf(code), { timeoutSeconds: 0.1 }), ['{}'])).rejects.toThrow(
      expected,
    )
  })

  test('the one record that a page fails on is found', async () => {
    const code = `export default (records) => { if (records.some(({ id }) => id === '2')) throw new Error('two'); return records }`
    const config = step('module', await moduleOf(code), { onError: 'skip' })
    expect(await textsAfter(config, ['{"n":1}', '{"n":2}', '{"n":3}'])).toEqual(['{"n":1}', '{"n":3}'])
  })

  test('exact numbers that a page function parsed and handed on', async () => {
    const code = `export default (records) => records.map(({ id, data }) => ({ id, data: { ...data.parse(), big: 2n ** 64n } }))`
    expect(await textsAfter(step('module', await moduleOf(code)), ['{"n":1.10}'])).toEqual([
      '{"n":1.10,"big":18446744073709551616}',
    ])
  })

  test('many records of one', async () => {
    const code = 'export const each = () => Array.from({ length: 300_000 }, (_, n) => ({ n }))'
    expect(await textsAfter(step('module', await moduleOf(code)), ['{}'])).toHaveLength(300_000)
  })

  test.each(['each = (data, record, signal)', 'each = async (data, record, signal)'])(
    'a call that takes too long is told by its signal, and the next one has a signal of its own: %s',
    async (head) => {
      const code = `export const ${head} => data.n === 2 ? undefined : new Promise((resolve, reject) => {
        data.aborted = signal.aborted
        signal.addEventListener('abort', () => reject(globalThis.seen.push([data, signal.reason.message])))
      })`
      const seen: unknown[] = []
      Object.assign(globalThis, { seen })
      const config = step('module', await moduleOf(code), { onError: 'skip', timeoutSeconds: 0.02 })
      expect(await textsAfter(config, ['{"n":1}', '{"n":2}', '{"n":3}'])).toEqual(['{"n":2}'])
      const late = 'it took longer than 0.02 s'
      expect(seen).toEqual([1, 3].map((n) => [{ n, aborted: false }, late]))
    },
  )

  test('a page that takes long leaves timers and signals their turn', async () => {
    const controller = new AbortController()
    setTimeout(() => controller.abort(new Error('enough')), 20)
    const code = 'export const each = () => { const over = Date.now() + 5; while (Date.now() < over); }'
    const rows = Array.from({ length: 1000 }, () => '{}')
    const running = textsAfter(step('module', await moduleOf(code)), rows, { signal: controller.signal })
    await expect(running).rejects.toThrow('enough')
  })

  test('a missing file, and one in Python', async () => {
    await expect(textsAfter(step('module', join(folder, 'none.mjs')), ['{}'])).rejects.toThrow('none.mjs: ')
    await expect(textsAfter(step('module', 'x.py'), ['{}'])).rejects.toMatchObject({
      hint: expect.stringContaining('python:'),
    })
  })
})

const scripts: Record<ScriptKind, string> = {
  python: 'if data["n"] % 2 == 0:\n    raise ValueError("even")',
  javascript: 'if (Number(data.n) % 2 === 0)\n  throw new TypeError("even")',
  module: 'export const each = (data) => { if (data.n % 2 === 0) throw new TypeError("even") }',
}
const rows = ['{"n":1}', '{"n":2,"exact":1.10}', '{\n"n":3}', '{"n":4,\n"é":-0}']

describe.each(Object.keys(scripts) as ScriptKind[])('a record that a script of kind %s fails on', (kind) => {
  const failing = async (onError: 'fail' | 'skip' | 'dead_letter') => {
    const script = kind === 'module' ? await moduleOf(scripts.module, `${kind}.mjs`) : scripts[kind]
    return step(kind, script, { onError, deadLetterPath: join(folder, 'dead.ndjson') })
  }

  test('fails the run', async () => {
    await expect(textsAfter(await failing('fail'), rows)).rejects.toThrow(
      /^transform tidy, line [12], record "2": \w+: even/,
    )
  })

  test('is skipped and counted', async () => {
    const log = keptLog()
    expect(await textsAfter(await failing('skip'), rows, { log })).toEqual(['{"n":1}', '{"n":3}'])
    expect(log.lines).toEqual(['warn transform tidy failed on 2 records, which were skipped'])
  })

  test('is written to the dead letters with the reason, as it came', async () => {
    const log = keptLog()
    const config = await failing('dead_letter')
    expect(await textsAfter(config, rows, { log })).toEqual(['{"n":1}', '{"n":3}'])
    const [first = '', second = '', ...rest] = (await readFile(config.deadLetterPath, 'utf8')).split('\n')
    expect(JSON.parse(first)).toMatchObject({ id: '2', label: 'tidy', error: expect.stringContaining('even') })
    expect(first).toMatch(/,"record":\{"n":2,"exact":1\.10\}\}$/)
    expect(second).toMatch(/,"record":\{"n":4, "é":-0\}\}$/)
    expect(rest).toEqual([''])
    expect(log.lines).toEqual([
      `warn transform tidy failed on 2 records, which were written to ${config.deadLetterPath} instead`,
    ])
  })
})

test('dead letters that cannot be written fail the run', async () => {
  const config = javascript('throw 1', { onError: 'dead_letter', deadLetterPath: join(folder, 'none', 'dead.ndjson') })
  await expect(textsAfter(config, rows)).rejects.toMatchObject({
    code: 'transform',
    message: expect.stringContaining('cannot write dead letters'),
    hint: 'Check dead_letter_path of transform tidy.',
  })
})

test('a dead letter begins a line of its own, though a write before it was cut off', async () => {
  const deadLetterPath = join(folder, 'dead.ndjson')
  await writeFile(deadLetterPath, '{"id":"1","la')
  const config = javascript('throw "no"', { onError: 'dead_letter', deadLetterPath })
  await textsAfter(config, ['{"n":1}'])
  await textsAfter(config, ['{"n":2}'])
  const [, first = '', second = ''] = (await readFile(deadLetterPath, 'utf8')).split('\n')
  expect([first, second].map((line) => JSON.parse(line).record)).toEqual([{ n: 1 }, { n: 2 }])
})

test('dead letters may go to what is no file', async () => {
  const config = javascript('throw "no"', { onError: 'dead_letter', deadLetterPath: '/dev/null' })
  expect(await textsAfter(config, ['{"n":1}'])).toEqual([])
})

test('no secret is written beside a dead letter', async () => {
  const deadLetterPath = join(folder, 'dead.ndjson')
  const config = javascript('throw new Error("the key is hunter22")', { onError: 'dead_letter', deadLetterPath })
  await textsAfter(config, ['{}'], { secrets: ['hunter22'] })
  expect(await readFile(deadLetterPath, 'utf8')).toContain('the key is ***')
})

test('steps of all kinds work in the order of the list', async () => {
  const module = step('module', await moduleOf('export const each = (data) => { data.order.push("c") }'))
  const steps = [
    python('data["order"] = ["a"]'),
    javascript('data.order.push("b")'),
    module,
    python('data["order"].append("d")'),
  ]
  expect(await textsAfter(steps, ['{"x":1.10}'])).toEqual(['{"x":1.10,"order":["a","b","c","d"]}'])
})

describe('in a pipeline', () => {
  const configWith = (on: Shelf, script: string, kind: ScriptKind = 'javascript') =>
    testConfig({
      folder,
      source: scriptedSource({ pages: [2, 2, 1] }),
      destination: shelfDestination(on),
      transforms: [{ label: 'tidy', [kind]: script }],
    })
  const failure = async (running: Promise<unknown>): Promise<unknown> =>
    running.then(
      () => undefined,
      (error) => error,
    )

  test.each<[ScriptKind, string]>([
    ['javascript', 'data.n += 100'],
    ['python', 'data["n"] += 100'],
  ])('a script of kind %s runs once, before the steps of a script', async (kind, script) => {
    const on = shelf()
    const config = await configWith(on, script, kind)
    const seen: string[] = []
    const look = transform((records) => {
      seen.push(...records.map(({ data }) => textOf(data)))
      return records
    })
    await pipeline(extract(config), look, load(config))
    expect(seen).toEqual([100, 101, 102, 103, 104].map((n) => `{"n":${n}}`))
    expect(on.published).toEqual([100, 101, 102, 103, 104])
  })

  test('it may stand in the config of either end, and not as two in both', async () => {
    const [plain, plus, minus] = [
      await testConfig({ folder, source: scriptedSource({ pages: [1] }), destination: shelfDestination(shelf()) }),
      await configWith(shelf(), 'data.n += 1'),
      await configWith(shelf(), 'data.n -= 1'),
    ]
    expect(await pipeline(extract(plus), load(plain))).toMatchObject({ status: 'complete' })
    expect(await pipeline(extract(plain), load(plus))).toMatchObject({ status: 'complete' })
    expect(await failure(pipeline(extract(plus), load(minus)))).toMatchObject({
      code: 'usage',
      message: 'pipeline: the configs of extract and load have different transforms',
    })
  })

  test('a failure fails the run, which publishes nothing and keeps what was durable', async () => {
    const on = shelf()
    const config = await configWith(on, 'if (data.n === 4) throw new Error("four")')
    expect(await failure(pipeline(extract(config), load(config)))).toMatchObject({
      code: 'transform',
      message: 'transform tidy, line 1, record "4": Error: four in: if (data.n === 4) throw new Error("four")',
    })
    expect(on.calls).not.toContain('publish')
    expect(on.published).toEqual([])
  })

  test('a script that is not valid fails before the destination is opened', async () => {
    const on = shelf()
    const config = await configWith(on, 'if (')
    expect(await failure(pipeline(extract(config), load(config)))).toMatchObject({ code: 'transform' })
    expect(on.calls).toEqual(['close'])
  })

  test('a run that failed goes on after on_error was changed, and starts over after the script was', async () => {
    const on = shelf()
    const started: unknown[] = []
    const run = async (step: object) => {
      const config = await testConfig({
        folder,
        source: scriptedSource({ pages: [2, 2, 1], started: ({ position }) => started.push(position?.page ?? 0) }),
        destination: shelfDestination(on),
        // One page after the other, so that the first ones are durable for certain.
        runner: 'stream',
        transforms: [{ label: 'tidy', ...step }],
      })
      return failure(pipeline(extract(config), load(config)))
    }
    const javascript = 'if (data.n === 4) throw new Error("four")'
    expect(await run({ javascript })).toMatchObject({ code: 'transform' })
    expect(await run({ javascript, on_error: 'skip', label: 'other', timeout: 5 })).toBeUndefined()
    expect(on.published).toEqual([0, 1, 2, 3])
    expect(await run({ javascript })).toMatchObject({ code: 'transform' })
    expect(await run({ javascript: `${javascript}; data.n += 10`, on_error: 'skip' })).toBeUndefined()
    expect(on.published).toEqual([10, 11, 12, 13])
    expect(started).toEqual([0, 2, 0, 0])
  })

  test('a run starts over after the text of a module was changed', async () => {
    const run = async (code: string, name: string) => {
      await writeFile(join(folder, 'm.mjs'), code)
      return scriptsOf([step('module', join(folder, name))])
    }
    const before = await run('export default (r) => r', 'm.mjs')
    expect(await run('export default (r) => r', 'm.mjs')).toEqual(before)
    expect(await run('export default (r) => [...r]', 'm.mjs')).not.toEqual(before)
  })

  test('without transforms pages are handed on as they are, to be released', async () => {
    const opened = await openTransforms([], { log: keptLog(), signal: never })
    expect(opened.steps).toEqual([])
    await opened.close()
  })
})
