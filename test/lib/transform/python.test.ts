import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { textOf } from '../../../lib/record.ts'
import { openTransforms } from '../../../lib/transforms.ts'
import { never } from '../../support/load.ts'
import { startScript } from '../../support/script.ts'
import { applyAll, javascript, keptLog, python, recordsOf, textsAfter } from '../../support/transforms.ts'

const ONE = '{"a":1,"b":[1,2]}'

describe('what becomes of the data', () => {
  test.each<[string, string, string[]]>([
    ['nothing is done', '', [ONE]],
    ['it is changed', 'data["a"] = 2', ['{"a":2,"b":[1,2]}']],
    ['it is set', 'data = {"c": data["a"]}', ['{"c":1}']],
    ['it is set to None', 'data = None', []],
    ['it is set to a list', 'data = [{"n": n} for n in data["b"]]', ['{"n":1}', '{"n":2}']],
    ['it is set to a list of texts and brackets', 'data = [{"n": "},]"}, {}]', ['{"n":"},]"}', '{}']],
    ['it is set to an empty list', 'data = []', []],
    [
      'indentation that all lines have goes',
      '    import math\n    if data:\n        data = {"c": math.floor(2.5)}\n',
      ['{"c":2}'],
    ],
    ['functions see imports', 'import math\ndef f(x):\n    return math.floor(x)\ndata = {"c": f(2.5)}', ['{"c":2}']],
    ['lambdas see variables', 'k = 2\nf = lambda x: x * k\ndata = {"c": f(3)}', ['{"c":6}']],
    ['comprehensions see variables', 'k = 2\ndata = {"c": [x * k for x in data["b"]]}', ['{"c":[2,4]}']],
    ['keys that are no text become text', 'data = {1: 1, None: 2, True: 3, 1.5: 4}', ['{"1":3,"null":2,"1.5":4}']],
    ['a Decimal', 'from decimal import Decimal\ndata["a"] = Decimal("1.10")', ['{"a":1.10,"b":[1,2]}']],
    ['tuples become lists', 'data["a"] = (1, 2)', ['{"a":[1,2],"b":[1,2]}']],
    ['text that is not ASCII', 'data = {"é": "𝄞", "half": "\\ud800"}', ['{"é":"𝄞","half":"\\ud800"}']],
    ['sets come in the same order each time', 'data = {"s": list({"a", "b", "c", "d"})}', [setOrder()]],
  ])('%s', async (_title, script, expected) => {
    expect(await textsAfter(python(script), [ONE])).toEqual(expected)
  })

  test('line breaks between tokens are no line breaks of the protocol', async () => {
    expect(await textsAfter(python(''), ['{\r\n  "a": 1,\n  "b": "x\\ny"\n}'])).toEqual(['{"a":1,"b":"x\\ny"}'])
  })

  test('a moved number keeps its text, a computed one is printed as Python prints it', async () => {
    const script = 'data = {"moved": data["a"], "twice": data["a"] * 2, "next": data["b"] + 1}'
    expect(await textsAfter(python(script), ['{"a":1.10,"b":9007199254740993}'])).toEqual([
      '{"moved":1.10,"twice":2.2,"next":9007199254740994}',
    ])
  })

  test('nothing of one record is left for the next', async () => {
    const script = 'if "x" in data:\n    seen = data["x"]\ndata["seen"] = "seen" in globals()'
    expect(await textsAfter(python(script), ['{"x":1}', '{"y":1}'])).toEqual([
      '{"x":1,"seen":true}',
      '{"y":1,"seen":false}',
    ])
  })

  test('id, time and destination are handed on, and several records of one are numbered', async () => {
    const given = { id: 'x', data: { a: 1 }, timestamp: new Date(0), destinationId: 'there' }
    const made = await applyAll([python('data = [data, data]')], [given])
    expect(made).toMatchObject([
      { id: 'x:1', timestamp: new Date(0), destinationId: 'there' },
      { id: 'x:2', timestamp: new Date(0), destinationId: 'there' },
    ])
  })
})

function setOrder(): string {
  const env = { PATH: process.env.PATH, PYTHONHASHSEED: '0' }
  const printed = execFileSync('python3', ['-c', 'print(list({"a", "b", "c", "d"}))'], { env, encoding: 'utf8' })
  return `{"s":${printed.trim().replaceAll("'", '"').replaceAll(', ', ',')}}`
}

describe('what is wrong is said with the record and the line', () => {
  test.each<[string, string, string]>([
    ['an exception', 'a = 1\ndata["x"] = data["y"]', ', line 2, record "1": KeyError: \'y\' in: data["x"] = data["y"]'],
    [
      'in a function',
      'def f():\n    return data["y"]\nf()',
      ', line 2, record "1": KeyError: \'y\' in: return data["y"]',
    ],
    ['in a library', 'import json\njson.loads("{")', ', line 2, record "1": JSONDecodeError: Expecting property name'],
    ['not a number', 'data["n"] = float("nan")', ', record "1": ValueError: nan is not JSON'],
    [
      'infinity in a record of exact numbers',
      'data["n"] = data["e"] * 1e999',
      ', record "1": ValueError: inf is not JSON',
    ],
    ['a date', 'import datetime\ndata["n"] = datetime.date(2026, 1, 1)', ', record "1": TypeError: date is not JSON'],
    [
      'text',
      'data = "a"',
      ', record "1": TypeError: data is a str; a record is a dict, None drops it, a list of dicts makes several',
    ],
    [
      'a list with a number',
      'data = [data, 1]',
      ', record "1": TypeError: data is a list with a int; a record is a dict',
    ],
    ['data is deleted', 'del data', ', record "1": NameError: data was deleted'],
    ['what contains itself', 'data["me"] = data', ', record "1": RecursionError: maximum recursion depth exceeded'],
    [
      'it recurses for ever',
      'def f():\n    f()\nf()',
      ', line 2, record "1": RecursionError: maximum recursion depth exceeded',
    ],
    [
      'an exception that has no text',
      'class E(Exception):\n    def __str__(self):\n        return 1\nraise E()',
      ', line 4, record "1": E in: raise E()',
    ],
    ['it asks to exit', 'import sys\nsys.exit(3)', ', line 2, record "1": SystemExit: 3 in: sys.exit(3)'],
    ['it exits', 'import os\nos._exit(3)', ', record "1": python3 ended with code 3'],
    ['it is killed', 'import os\nos.kill(os.getpid(), 9)', ', record "1": python3 was ended by SIGKILL'],
    ['it sleeps too long', 'import time\ntime.sleep(60)', ', record "1": it took longer than 0.3 s'],
    ['it reads the protocol', 'input()', ', line 1, record "1": EOFError: EOF when reading a line in: input()'],
  ])('%s', async (title, script, expected) => {
    const timeoutSeconds = title === 'it sleeps too long' ? 0.3 : 30
    const failed = await textsAfter(python(script, { timeoutSeconds }), ['{"e":1.10}']).catch((error) => error)
    expect(failed).toMatchObject({ code: 'transform' })
    expect(String(failed)).toContain(`transform tidy${expected}`)
  })

  test.each(['raise ValueError', 'import os; os._exit(1)', 'import os; os.kill(os.getpid(), 11)'])(
    'the one of many records that does it is named: %s',
    async (deed) => {
      const rows = Array.from({ length: 500 }, (_, n) => `{"n":${n}}`)
      const step = python(`if data["n"] == 321:\n    ${deed}`)
      await expect(textsAfter(step, rows)).rejects.toThrow('record "322"')
    },
  )

  test('infinity in a record of plain numbers, and a list of itself', async () => {
    const failing = (script: string) => textsAfter(python(script), ['{"e":1}'])
    await expect(failing('data["n"] = 1e999')).rejects.toThrow('ValueError: NaN and Infinity are not JSON')
    await expect(failing('data["me"] = data')).rejects.toThrow('ValueError: Circular reference detected')
  })

  test.each<[string, string, string]>([
    ['syntax', 'a = 1\nif a', ", line 2: SyntaxError: expected ':' in: if a"],
    ['indentation', 'a = 1\n  b = 2', ', line 2: IndentationError: unexpected indent in: b = 2'],
    ['return', 'return 1', ", line 1: SyntaxError: 'return' outside function in: return 1"],
  ])('before any record: %s', async (_title, script, expected) => {
    const opened = openTransforms([python('ok = 1'), python(script, { label: 'bad' })], {
      log: keptLog(),
      signal: never,
    })
    await expect(opened).rejects.toThrow(`transform bad${expected}`)
  })

  test('no python3 is one line that says what to do', async () => {
    const before = process.env.PATH
    process.env.PATH = '/nowhere'
    try {
      await expect(textsAfter(python(''), [ONE])).rejects.toMatchObject({
        code: 'transform',
        message: 'transforms in Python: there is no python3 on the PATH',
        hint: expect.stringContaining('`javascript:`'),
      })
    } finally {
      process.env.PATH = before
    }
  })
})

describe('the process', () => {
  test('is one for all steps of a pipeline, in order with others', async () => {
    const pid = 'import os\ndata.setdefault("pids", []).append(os.getpid())'
    const [text = ''] = await textsAfter([python(pid), javascript('data.pids.push(0)'), python(pid)], ['{}'])
    const [first, between, second] = JSON.parse(text).pids
    expect(between).toBe(0)
    expect(second).toBe(first)
    expect(isAlive(first)).toBe(false)
  })

  test('knows nothing of the environment and sees no file of the working directory', async () => {
    process.env.BIZON_TEST_CANARY = 'canary'
    try {
      const script =
        'import os, sys\ndata = {"env": sorted(os.environ), "here": "" in sys.path or os.getcwd() in sys.path}'
      const [text = ''] = await textsAfter(python(script), ['{}'])
      const { env, here } = JSON.parse(text)
      // PWD, SHLVL and PYENV_… are those of the shell that some python3 is started by.
      const known = /^(PATH|HOME|LANG|LC_CTYPE|TZ|TMPDIR|LD_LIBRARY_PATH|PYTHONHASHSEED|PWD|SHLVL|_|_?PYENV_\w+)$/
      expect(env.filter((name: string) => !known.test(name))).toEqual([])
      expect(here).toBe(false)
    } finally {
      delete process.env.BIZON_TEST_CANARY
    }
  })

  test('may print, also from programs it starts: that goes to the log', async () => {
    const log = keptLog()
    const script = [
      'import os, subprocess, sys',
      'print("printed", data["a"])',
      'sys.stdout.write("written\\n")',
      'os.write(1, b"raw\\n")',
      'subprocess.run(["echo", "from a program"])',
    ]
    expect(await textsAfter(python(script.join('\n')), [ONE, ONE], { log })).toEqual([ONE, ONE])
    const said = ['printed 1', 'written', 'raw', 'from a program'].map((line) => `info python: ${line}`)
    expect(log.lines.sort()).toEqual([...said, ...said].sort())
  })

  test('answers once for each record, though a script forks and forgets to end the child', async () => {
    const opened = await openTransforms([python('import os\nif data["a"] == 1:\n    os.fork()')], {
      log: keptLog(),
      signal: never,
    })
    try {
      for (const texts of [['{"a":1}', '{"a":2}'], ['{"a":3}'], ['{"a":4}']]) {
        const records = (await opened.steps[0]?.(recordsOf(texts), never)) ?? []
        expect(records.map(({ data }) => textOf(data))).toEqual(texts)
        await new Promise((resolve) => setTimeout(resolve, 100)) // for an answer too many
      }
    } finally {
      await opened.close()
    }
  })

  test.each([
    ['a program', 'import subprocess\np = subprocess.Popen(["sleep", "60"])\np.terminate()\ndata["by"] = -p.wait()'],
    [
      'a process like itself',
      [
        'import multiprocessing, time',
        'p = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))',
        'p.start()\np.terminate()\np.join()',
        'data["by"] = -p.exitcode',
      ].join('\n'),
    ],
  ])('lets a script end what it has started: %s', async (_title, script) => {
    expect(await textsAfter(python(script, { timeoutSeconds: 5 }), ['{}'])).toEqual(['{"by":15}'])
  })

  test('goes on when it is told to end, as by Ctrl-C: that is for the run to say', async () => {
    const script = 'import os, signal\nfor n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): os.kill(os.getpid(), n)'
    expect(await textsAfter(python(script), [ONE, ONE])).toEqual([ONE, ONE])
  })

  test('is ended at once when the run is aborted', async () => {
    const log = keptLog()
    const controller = new AbortController()
    const script = 'import os, time\nprint(os.getpid(), flush=True)\nwhile True:\n    time.sleep(60)'
    const failed = textsAfter(python(script), [ONE], { log, signal: controller.signal }).catch((error) => error)
    const pid = await printedPid(log)
    controller.abort(new Error('enough'))
    expect(await failed).toMatchObject({ message: 'enough' })
    expect(isAlive(pid)).toBe(false)
  })

  test('is gone after a failure', async () => {
    const log = keptLog()
    await expect(
      textsAfter(python('import os\nprint(os.getpid())\nraise ValueError'), [ONE], { log }),
    ).rejects.toThrow()
    expect(isAlive(await printedPid(log))).toBe(false)
  })

  test.each(['import time\ntime.sleep(60)', 'while True:\n    pass', ''])(
    'is gone after its parent was killed, while it runs %j',
    async (script) => {
      const parent = await startScript(new URL('../../support/scripts/transform.ts', import.meta.url), [script])
      const pid = Number(await parent.line())
      expect(isAlive(pid)).toBe(true)
      parent.signal('SIGKILL')
      await parent.ended
      while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 10))
    },
  )

  test('records larger than the pipes, many at a time, block nobody', async () => {
    const rows = [3, 200_000, 5, 2_000_000, ...Array.from({ length: 300 }, () => 20_000)].map(
      (size, n) => `{"n":${n},"pad":"${'x'.repeat(size)}"}`,
    )
    expect(await textsAfter(python('data = [data, data]'), rows)).toEqual(rows.flatMap((row) => [row, row]))
  })

  test('100,000 records in pages keep their order, in bounded memory', async () => {
    const opened = await openTransforms([python('data["n"] += 1')], { log: keptLog(), signal: never })
    try {
      let next = 1
      let most = 0
      for (let page = 0; page < 100; page++) {
        let records = recordsOf(
          Array.from({ length: 1000 }, (_, n) => `{"n":${page * 1000 + n},"pad":"${'x'.repeat(1500)}"}`),
        ) as readonly ReturnType<typeof recordsOf>[number][]
        for (const apply of opened.steps) records = await apply(records, never)
        for (const { data } of records) expect(textOf(data).startsWith(`{"n":${next++},`)).toBe(true)
        most = Math.max(most, process.memoryUsage().arrayBuffers)
      }
      expect(next).toBe(100_001)
      // All of it is 150 MB, twice.
      expect(most).toBeLessThan(100e6)
    } finally {
      await opened.close()
    }
  })
})

async function printedPid(log: { readonly lines: readonly string[] }): Promise<number> {
  while (log.lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  return Number(/\d+$/.exec(log.lines[0] ?? '')?.[0])
}

/** A zombie is not. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('Z')
  } catch {
    return false
  }
}
