import { describe, expect, test } from 'vitest'
import { RawJson, textOf } from '../../../lib/record.ts'
import { openJavascript } from '../../../lib/transform/javascript.ts'
import { openTransforms } from '../../../lib/transforms.ts'
import { never } from '../../support/load.ts'
import { applyAll, javascript, keptLog, recordsOf, textsAfter } from '../../support/transforms.ts'

const ONE = '{"a":1,"b":[1,2]}'

describe('what becomes of the data', () => {
  test.each<[string, string, string[]]>([
    ['nothing is done', '', [ONE]],
    ['it is changed', 'data.a = 2', ['{"a":2,"b":[1,2]}']],
    ['it is set', 'data = { c: data.a }', ['{"c":1}']],
    ['it is set, and the script returns early', 'data = { c: 3 }; if (data.c) return; data.d = 4', ['{"c":3}']],
    ['it is returned', 'return { ...data, c: 3 }', ['{"a":1,"b":[1,2],"c":3}']],
    ['null is returned', 'return null', []],
    ['it is set to null', 'data = null', []],
    ['a list is returned', 'return data.b.map((n) => ({ n }))', ['{"n":1}', '{"n":2}']],
    ['an empty list is returned', 'return []', []],
    ['it is a class', 'class P { x = 1 }\nreturn new P()', ['{"x":1}']],
    [
      'functions and arrows see everything',
      'const k = 2; const f = () => data.a + k; data.a = f()',
      ['{"a":3,"b":[1,2]}'],
    ],
    ['it ends with a comment', 'data.a = 2 // two', ['{"a":2,"b":[1,2]}']],
  ])('%s', async (_title, script, expected) => {
    expect(await textsAfter(javascript(script), [ONE])).toEqual(expected)
  })

  test('text that is not ASCII stays as it is', async () => {
    expect(await textsAfter(javascript('data.b = data.a'), ['{"a":"é𝄞"}'])).toEqual(['{"a":"é𝄞","b":"é𝄞"}'])
  })

  test("a source's own object is not changed", async () => {
    const data = { a: { b: 1 } }
    const [record] = await applyAll([javascript('data.a.b = 2')], [{ id: 'x', data }])
    expect(record && textOf(record.data)).toBe('{"a":{"b":2}}')
    expect(data).toEqual({ a: { b: 1 } })
  })
})

describe('what becomes of the record', () => {
  const given = { id: 'x', data: { a: 1 }, timestamp: '2026-01-01T00:00:00.000001Z', destinationId: 'old' }

  test('id, time and destination are handed on', async () => {
    expect(await applyAll([javascript('data.a = 2')], [given])).toMatchObject([{ ...given, data: {} }])
  })

  test('id, time and destination can be changed', async () => {
    const script = 'record.id += data.a; record.timestamp = new Date(0); record.destinationId = "new"'
    expect(await applyAll([javascript(script)], [given])).toMatchObject([
      { id: 'x1', timestamp: new Date(0), destinationId: 'new' },
    ])
  })

  test('time and destination can be taken away', async () => {
    const [record] = await applyAll([javascript('record.timestamp = record.destinationId = undefined')], [given])
    expect(Object.keys(record ?? {})).toEqual(['id', 'data'])
  })

  test('several records of one have its id and their number', async () => {
    const made = await applyAll([javascript('return [data, data]')], [given])
    expect(made).toMatchObject([
      { id: 'x:1', destinationId: 'old' },
      { id: 'x:2', destinationId: 'old' },
    ])
  })
})

test.each(['{"o":{"l":[1]}}', '{"o":{"l":[1.10]}}'])('what it sees is of its own realm: %s', async (text) => {
  const script = `
    const all = [data, data.o, structuredClone(data.o)].map((o) => o instanceof Object)
    const lists = [data.o.l, structuredClone(data).o.l].map((l) => l instanceof Array)
    Object.getPrototypeOf(data).polluted = Object.getPrototypeOf(data.o.l).polluted = true
    return { all, lists, date: record.timestamp instanceof Date }`
  const given = { id: 'x', data: RawJson.from(text), timestamp: new Date(0) }
  const [record] = await applyAll([javascript(script)], [given])
  expect(record && JSON.parse(textOf(record.data))).toEqual({
    all: [true, true, true],
    lists: [true, true],
    date: true,
  })
  expect('polluted' in {}).toBe(false)
  expect(record?.timestamp).toEqual(new Date(0))
})

test('a Date that records share is changed for each of them alone', async () => {
  const timestamp = new Date(0)
  const script = 'record.timestamp.setTime(Number(record.timestamp) + 1000)'
  const made = await applyAll(
    [javascript(script)],
    [1, 2].map((n) => ({ id: `${n}`, data: {}, timestamp })),
  )
  expect(made.map((record) => record.timestamp)).toEqual([new Date(1000), new Date(1000)])
  expect(timestamp).toEqual(new Date(0))
})

test('many records of one', async () => {
  const made = await textsAfter(javascript('return Array.from({ length: 300_000 }, (_, n) => ({ n }))'), [ONE])
  expect(made).toHaveLength(300_000)
  expect(made.at(-1)).toBe('{"n":299999}')
})

test('a promise that is returned and rejected fails the record, not the process', async () => {
  const script = 'return Promise.reject(new Error("left alone"))'
  expect(await textsAfter(javascript(script, { onError: 'skip' }), [ONE])).toEqual([])
  await new Promise((resolve) => setTimeout(resolve, 5)) // an unhandled rejection would fail the test run
})

describe('what is wrong is said with the record and the line', () => {
  test.each<[string, string, string]>([
    [
      'an exception',
      'const a = 1\n  data.x.y = a',
      ', line 2, record "1": TypeError: Cannot set properties of undefined (setting \'y\') in: data.x.y = a',
    ],
    [
      'in a function',
      'function f() {\n  throw new RangeError("no")\n}\nf()',
      ', line 2, record "1": RangeError: no in: throw new RangeError("no")',
    ],
    ['what is thrown is text', 'throw "no"', ', record "1": it threw no'],
    ['a global by accident', 'sum = 1', ', line 1, record "1": ReferenceError: sum is not defined in: sum = 1'],
    ['process', 'process.exit(1)', ', line 1, record "1": ReferenceError: process is not defined in: process.exit(1)'],
    ['require', 'require("fs")', ', line 1, record "1": ReferenceError: require is not defined in: require("fs")'],
    [
      'a number is returned',
      'return 1',
      ', record "1": TypeError: it returned 1; a record is an object, null drops it, a list of objects makes several',
    ],
    ['text is returned', 'return "a"', ', record "1": TypeError: it returned a string; a record is'],
    ['a Date is returned', 'return new Date()', ', record "1": TypeError: it returned a Date; a record is'],
    ['a list with a number', 'return [data, 1]', ', record "1": TypeError: it returned a list with 1; a record is'],
    [
      'a promise',
      'return Promise.resolve(1)',
      ', record "1": it returned a promise; what waits for something is written as a module',
    ],
    ['an id that is no text', 'record.id = 1', ', record "1": TypeError: record.id must be text, got 1'],
    [
      'a time that is none',
      'record.timestamp = "May"',
      ', record "1": TypeError: record.timestamp must be a Date or RFC 3339 text, got "May"',
    ],
    [
      'a destination that is no text',
      'record.destinationId = {}',
      ', record "1": TypeError: record.destinationId must be text, got an object',
    ],
    ['what contains itself', 'data.me = data', ', record "1": TypeError: Converting circular structure to JSON'],
    ['it never ends', 'for (;;);', ', record "1": it took longer than 0.05 s'],
    [
      'it never ends and catches',
      'for (;;) { try { for (;;); } catch {} finally { continue } }',
      ', record "1": it took longer than 0.05 s',
    ],
  ])('%s', async (title, script, expected) => {
    const timeoutSeconds = title.startsWith('it never ends') ? 0.05 : 30
    const failed = textsAfter(javascript(script, { timeoutSeconds }), [ONE])
    await expect(failed).rejects.toMatchObject({ code: 'transform' })
    await expect(failed).rejects.toThrow(`transform tidy${expected}`)
  })

  test.each<[string, string, string]>([
    ['unbalanced', 'data.a = 1\nif (data.a', ', line 2: SyntaxError: Unexpected end of input in: if (data.a'],
    ['await', 'await data', ', line 1: SyntaxError: await is only valid in async functions'],
    ['what is only valid with what is around it', '}); (() => {', ": SyntaxError: Unexpected token '}'"],
    [
      'a variable that hides data',
      'var data = {}',
      ", line 1: SyntaxError: Identifier 'data' has already been declared",
    ],
    ['a function that hides record', 'function record() {}', ": SyntaxError: Identifier 'record' has already been"],
    ['with', 'with (data) a', ', line 1: SyntaxError: Strict mode code may not include a with statement'],
  ])('before any record: %s', async (_title, script, expected) => {
    const opened = openTransforms([javascript(script)], { log: keptLog(), signal: never })
    await expect(opened).rejects.toThrow(/^transform tidy(, line \d)?: SyntaxError: /)
    await expect(opened).rejects.toThrow(expected)
  })
})

test('the time limit is for one record, not for a page', async () => {
  const script = 'const over = Date.now() + 5; while (Date.now() < over); if (data.bad) for (;;);'
  const rows = Array.from({ length: 40 }, (_, n) => `{"n":${n}${n === 30 ? ',"bad":1' : ''}}`)
  const step = javascript(script, { timeoutSeconds: 0.5, onError: 'skip' })
  const log = keptLog()
  expect(await textsAfter(step, rows, { log })).toEqual(rows.filter((_, n) => n !== 30))
  expect(log.lines).toEqual(['warn transform tidy failed on 1 record, which was skipped'])
})

test('a record is handed to reject once, however long that takes', async () => {
  const rejected: string[] = []
  const script = openJavascript(javascript('if (data.a) throw 1; for (;;);', { timeoutSeconds: 0.01 }), keptLog())
  const slowly = ({ id }: { readonly id: string }, { message }: Error): void => {
    const over = Date.now() + 100
    while (Date.now() < over);
    rejected.push(`${id} ${message}`)
  }
  await script.apply(recordsOf([ONE, '{}', ONE]), slowly, never)
  expect(rejected).toEqual(['1 it threw 1', '2 it took longer than 0.01 s', '3 it threw 1'])
})

test('the console writes to the log', async () => {
  const log = keptLog()
  await textsAfter(javascript('console.log("seen", data.a); console.warn(data.b)'), [ONE], { log })
  expect(log.lines).toEqual(['info transform tidy: seen 1', 'warn transform tidy: [ 1, 2 ]'])
})

test('a page that takes long leaves timers and signals their turn', async () => {
  const controller = new AbortController()
  setTimeout(() => controller.abort(new Error('enough')), 20)
  const rows = Array.from({ length: 1000 }, () => ONE)
  const script = 'const over = Date.now() + 5; while (Date.now() < over);'
  await expect(textsAfter(javascript(script), rows, { signal: controller.signal })).rejects.toThrow('enough')
})
