import { appendFile, readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { silentLog } from '../../../lib/log.ts'
import { RawJson } from '../../../lib/record.ts'
import { failure, openFile, pagesOf, read, texts, useFolder } from '../../support/file-source.ts'

const folder = useFolder()

describe('NDJSON', () => {
  it('hands on each line to the byte, by reference, and counts blank lines', async () => {
    const lines = ['{"n":1.10,"big":9007199254740993}', '', ' {"a" : [ -0, 1e400 ] }\t', '   ', '{"é":"\\u00e9"}']
    const path = await folder.write('data.ndjson', lines.join('\n'))
    expect(await read({ path })).toEqual([
      { id: `${path}:1`, text: '{"n":1.10,"big":9007199254740993}' },
      { id: `${path}:3`, text: '{"a" : [ -0, 1e400 ] }' },
      { id: `${path}:5`, text: '{"é":"\\u00e9"}' },
    ])
    const [page] = await pagesOf({ path })
    const [first, second] = (page?.records ?? []).map((record) => record.data as RawJson)
    expect(first).toBeInstanceOf(RawJson)
    expect(first?.buffer).toBe(second?.buffer)
  })

  it.each([
    ['a byte order mark', '\ufeff{"a":1}\n{"a":2}\n'],
    ['CRLF', '{"a":1}\r\n{"a":2}\r\n'],
    ['a last line without line end', '{"a":1}\n{"a":2}'],
    ['CRLF and a last line that ends in CR', '{"a":1}\r\n\r\n{"a":2}\r'],
  ])('reads a file with %s, whatever the size of a block', async (_, content) => {
    const path = await folder.write('data.jsonl', content)
    for (let page_bytes = 1; page_bytes < 24; page_bytes++) {
      expect(await texts({ path, page_bytes })).toEqual(['{"a":1}', '{"a":2}'])
    }
  })

  it.each([
    ['{"a":1,}', '2:8 invalid JSON: unexpected "}"; it starts {"a":1,}'],
    ['{"a":x}', '2:6 invalid JSON: unexpected "x"; it starts {"a":x}'],
    ['{"a":1', '2:7 invalid JSON: the line ends too early; it starts {"a":1'],
    ['{"é":1} {}', '2:9 invalid JSON: unexpected "{"; it starts {"é":1} {}'],
    ['{"a":"b\tc"}', '2:8 invalid JSON: unexpected byte 0x09; it starts {"a":"b·c"}'],
    ['["a"]', '2 is not a JSON object; it starts ["a"]'],
    ['12', '2 is not a JSON object; it starts 12'],
    [`{"a":"${'é'.repeat(70)}"`, `2:78 invalid JSON: the line ends too early; it starts {"a":"${'é'.repeat(54)}…`],
  ])('refuses the line %s and says where and why', async (line, message) => {
    const path = await folder.write('data.ndjson', `{"ok":1}\n${line}\r\n{"ok":2}\n`)
    expect(await failure({ path })).toMatchObject({ code: 'invalid_record', message: `${path}:${message}` })
  })

  it('refuses bytes that are not UTF-8 and names the byte', async () => {
    const bad = Buffer.concat([Buffer.from('{"ok":"é"}\n{"a":"é'), Buffer.from([0xc3, 0x28]), Buffer.from('"}\n')])
    const path = await folder.write('data.ndjson', bad)
    const { code, message } = await failure({ path })
    expect(code).toBe('invalid_record')
    expect(message).toContain(`${path}:2 is not UTF-8: byte 9 of it is 0xc3`)
  })

  it('accepts characters that are cut by the end of a block', async () => {
    const path = await folder.write('data.ndjson', `{"a":"${'é😀'.repeat(20)}"}\n`.repeat(3))
    for (let page_bytes = 1; page_bytes < 12; page_bytes++) {
      expect(await texts({ path, page_bytes })).toEqual(Array(3).fill(`{"a":"${'é😀'.repeat(20)}"}`))
    }
  })
})

describe('JSON', () => {
  it.each([
    ['a list', '[{"a":1},\n {"a":[2,"]"]}]\n', ['{"a":1}', '{"a":[2,"]"]}']],
    ['a single object', ' {"a":1}\n', ['{"a":1}']],
    ['an empty list', '[ ]', []],
    ['nothing', '', []],
    ['only whitespace', ' \n', []],
    ['a byte order mark', '\ufeff[{"a":1}]', ['{"a":1}']],
  ])('reads a file that holds %s, whatever the size of a block', async (_, content, expected) => {
    const path = await folder.write('data.json', content)
    for (let page_bytes = 1; page_bytes < 20; page_bytes++) {
      expect(await texts({ path, page_bytes })).toEqual(expected)
    }
  })

  it.each([
    ['[{"a":1}', 'the file ends before its closing bracket at byte 8, after 1 record'],
    ['[{"a":1},', 'the file ends before its closing bracket at byte 9, after 1 record'],
    ['[{"a":', 'the file ends before its closing bracket at byte 6, after 0 records'],
    ['[{"a":1}]x', 'unexpected "x" behind the end of the JSON at byte 9, after 1 record'],
    ['{"a":1}\n{"a":2}', 'unexpected "{" behind the end of the JSON at byte 8, after 1 record'],
    ['[{"a":1} {"a":2}]', 'unexpected "{" at byte 9, after 1 record'],
    ['[{"a":1},{"a":x}]', 'unexpected "x" at byte 14, after 1 record'],
    ['[{"a":1},]', 'unexpected "]" at byte 9, after 1 record'],
    ['"text"', `unexpected '"' at byte 0, after 0 records`],
  ])('refuses %s and says at which byte', async (content, message) => {
    const path = await folder.write('data.json', content)
    for (const page_bytes of [1, 3, 1000]) {
      const failed = await failure({ path, page_bytes, on_invalid: 'skip' })
      expect(failed.code).toBe('invalid_record')
      expect(failed.message).toMatch(new RegExp(`^${path}:\\d+ invalid JSON: `))
      expect(failed.message.endsWith(message)).toBe(true)
    }
  })

  it('treats elements that are not objects as records that are not valid', async () => {
    const path = await folder.write('data.json', '[{"a":1},12,"x",[{}],{"a":2}]')
    expect((await failure({ path })).message).toBe(`${path}:2 is not a JSON object; it starts 12`)
    for (const page_bytes of [1, 2, 5, 100]) {
      expect(await texts({ path, page_bytes, on_invalid: 'skip' })).toEqual(['{"a":1}', '{"a":2}'])
    }
  })
})

describe('id_field and timestamp_field', () => {
  it('take strings decoded and integers as their digits', async () => {
    const path = await folder.write(
      'data.ndjson',
      '{"k":"a\\u00e9"}\n{"k":9007199254740993}\n{"k":1,"k":-5}\n{"k":""}\n',
    )
    expect((await read({ path, id_field: 'k' })).map((record) => record.id)).toEqual([
      'aé',
      '9007199254740993',
      '-5',
      '',
    ])
  })

  it.each(['{}', '{"k":null}', '{"k":1.5}', '{"k":true}', '{"k":{}}'])('refuse %s as an id', async (line) => {
    const path = await folder.write('data.ndjson', `${line}\n`)
    expect((await failure({ path, id_field: 'k' })).message).toContain(`${path}:1 id_field k is`)
  })

  it('keep the digits of a time as text, read epochs, and leave out what is absent', async () => {
    const times = [
      '"2024-01-01T00:00:00.123456Z"',
      '"2024-02-29 10:00:00+02:00"',
      '1704067200',
      '1704067200123',
      '1.5',
      'null',
      '""',
    ]
    const path = await folder.write('data.ndjson', [...times.map((time) => `{"t":${time}}`), '{}'].join('\n'))
    expect((await read({ path, timestamp_field: 't' })).map((record) => record.timestamp)).toEqual([
      '2024-01-01T00:00:00.123456Z',
      '2024-02-29 10:00:00+02:00',
      new Date('2024-01-01T00:00:00Z'),
      new Date('2024-01-01T00:00:00.123Z'),
      new Date(1500),
      undefined,
      undefined,
      undefined,
    ])
  })

  it.each(['"yesterday"', '"2024-02-30T00:00:00Z"', '"2024-01-01T25:00:00Z"', '"2024-01-01T00:00:00"', 'true', '1e30'])(
    'refuse %s as a time',
    async (time) => {
      const path = await folder.write('data.ndjson', `{"t":${time}}`)
      expect((await failure({ path, timestamp_field: 't' })).message).toContain(`${path}:1 t is not a time`)
    },
  )
})

describe('on_invalid', () => {
  const lines = ['{"a":1}', '{broken', '{"a":2}', '[]', '{"a":3}']

  it('skip leaves such records out, and says once how many there were', async () => {
    const path = await folder.write('data.ndjson', lines.join('\n'))
    const warnings: string[] = []
    const log = { ...silentLog, warn: (message: string) => warnings.push(message) }
    const records = await read({ path, on_invalid: 'skip', page_bytes: 10 }, { log })
    expect(records.map(({ id, text }) => [id.slice(-2), text])).toEqual([
      [':1', '{"a":1}'],
      [':3', '{"a":2}'],
      [':5', '{"a":3}'],
    ])
    expect(warnings).toEqual(['2 records were not valid and skipped'])
  })

  it('dead_letter writes them to a file, before the page that passes over them', async () => {
    const path = await folder.write('data.ndjson', lines.join('\n'))
    const dead_letter_path = folder.path('bad.ndjson')
    const config = { path, on_invalid: 'dead_letter', dead_letter_path, page_bytes: 20 }
    const counts: number[] = []
    for await (const page of openFile(config).read({}, new AbortController().signal)) {
      const written = await readFile(dead_letter_path, 'utf8').catch(() => '')
      if (page.records.some((record) => record.id.endsWith(':5'))) expect(written.split('\n').length - 1).toBe(2)
      counts.push(written.split('\n').length - 1)
    }
    expect(counts.at(-1)).toBe(2)
    const letters = (await readFile(dead_letter_path, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(letters).toEqual([
      { file: path, line: 2, error: `${path}:2:2 invalid JSON: unexpected "b"; it starts {broken`, text: '{broken' },
      { file: path, line: 4, error: `${path}:4 is not a JSON object; it starts []`, text: '[]' },
    ])
  })

  it('does not read its own dead letters when a pattern matches their file', async () => {
    await folder.write('data.ndjson', lines.join('\n'))
    const config = {
      path: folder.path('*.ndjson'),
      on_invalid: 'dead_letter',
      dead_letter_path: folder.path('bad.ndjson'),
    }
    expect(await texts(config)).toHaveLength(3)
    expect(await texts(config)).toHaveLength(3)
  })
})

describe('a record that is too long', () => {
  it('ends the run with a clear error and is never held as a whole', async () => {
    const path = folder.path('data.ndjson')
    await sparseLine(path, 100 * 1024 * 1024)
    const before = process.memoryUsage().arrayBuffers
    let peak = 0
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before)
    }, 1)
    try {
      expect(await failure({ path, max_record_bytes: 1024 * 1024 })).toMatchObject({
        code: 'invalid_record',
        message: expect.stringContaining(
          `${path}:2 is longer than max_record_bytes (1048576 bytes); it starts {"long":"`,
        ),
      })
      const kept = await texts({ path, max_record_bytes: 1024 * 1024, on_invalid: 'skip' })
      expect(kept).toEqual(['{"a":1}', '{"a":2}'])
    } finally {
      clearInterval(timer)
    }
    expect(peak).toBeLessThan(16 * 1024 * 1024)
  })

  it('is seen within a block too, in every format', async () => {
    const long = 'x'.repeat(50)
    await folder.write('a.ndjson', `{"a":1}\n{"a":"${long}"}\n{"a":2}\n`)
    await folder.write('a.csv', `a\n1\n${long}\n2\n`)
    await folder.write('a.json', `[{"a":1},{"a":"${long}"},{"a":2}]`)
    for (const name of ['a.ndjson', 'a.csv']) {
      for (const page_bytes of [1, 7, 1000]) {
        const config = { path: folder.path(name), max_record_bytes: 30, page_bytes }
        expect((await failure(config)).message).toContain('is longer than max_record_bytes (30 bytes)')
        expect((await failure(config)).hint).toMatch(/^Raise source.max_record_bytes/)
      }
    }
    expect(await texts({ path: folder.path('a.ndjson'), max_record_bytes: 30, on_invalid: 'skip' })).toHaveLength(2)
    const json = { path: folder.path('a.json'), max_record_bytes: 30, page_bytes: 5, on_invalid: 'skip' }
    expect((await failure(json)).message).toContain(':2 is longer than max_record_bytes (30 bytes)')
  })
})

/** A line of so many bytes between two short ones, without writing it all from memory. */
async function sparseLine(path: string, bytes: number): Promise<void> {
  await appendFile(path, '{"a":1}\n{"long":"')
  const megabyte = Buffer.alloc(1024 * 1024, 'x')
  for (let written = 0; written < bytes; written += megabyte.length) await appendFile(path, megabyte)
  await appendFile(path, '"}\n{"a":2}\n')
}

describe('poll_interval', () => {
  it('is at most what a timer can wait: more would be no wait at all', () => {
    expect(() => openFile({ path: 'a.ndjson', poll_interval: 2_147_483 })).not.toThrow()
    expect(() => openFile({ path: 'a.ndjson', poll_interval: 2_147_484 })).toThrow('2147483')
  })
})
