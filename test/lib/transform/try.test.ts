import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { tryTransforms } from '../../../lib/transform/try.ts'
import { never } from '../../support/load.ts'
import { javascript, keptLog } from '../../support/transforms.ts'

const tried = async (chunks: readonly (string | Buffer)[], signal: AbortSignal = never) => {
  const step = javascript('if (data.bad) throw new Error("bad"); return data.list ?? data')
  const all = []
  for await (const one of tryTransforms([step], Readable.from(chunks), { log: keptLog(), signal })) all.push(one)
  return all
}

test('lines may be cut anywhere, and the last needs no end', async () => {
  const whole = '{"n":"é"}\r\n\n{"list":[{"m":1.10},{"m":2}]}\n{"list":[]}'
  const bytes = Buffer.from(whole)
  const chunks = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
  const expected = [
    { line: 1, before: '{"n":"é"}', after: ['{"n":"é"}'] },
    { line: 3, before: '{"list":[{"m":1.10},{"m":2}]}', after: ['{"m":1.10}', '{"m":2}'] },
    { line: 4, before: '{"list":[]}', after: [] },
  ]
  expect(await tried(chunks)).toEqual(expected)
  expect(await tried([whole])).toEqual(expected)
})

test('a long line that comes in many pieces is put together once', async () => {
  const piece = Buffer.alloc(1024, 'x')
  const [one] = await tried(['{"a":"', ...Array.from({ length: 16 * 1024 }, () => piece), '"}\n'])
  expect(one?.before?.length).toBe(16 * 1024 * 1024 + 8)
})

test('a line that never ends is refused', async () => {
  const piece = Buffer.alloc(1024 * 1024, 'x')
  const endless = Array.from({ length: 66 }, () => piece)
  await expect(tried(endless)).rejects.toThrow('a line is longer than 64 MiB')
})

test('errors are told and the next line is tried', async () => {
  expect(
    await tried(['{"bad":1}\n', '{"a":\n', Buffer.from([0x22, 0xff, 0x22, 0x0a]), '7\n', '{"ok":1}']),
  ).toMatchObject([
    { before: '{"bad":1}', error: expect.stringMatching(/^transform tidy, line 1: Error: bad in: /), fails: true },
    { error: 'line 2 is not valid JSON, from column 6', fails: true },
    { error: 'line 3 is not UTF-8', fails: true },
    { error: 'line 4 is not a JSON object', fails: true },
    { after: ['{"ok":1}'] },
  ])
})

test('ends when it is aborted, although no line comes', async () => {
  const controller = new AbortController()
  const silent = new Readable({ read: () => {} })
  const lines = tryTransforms([javascript('')], silent, { log: keptLog(), signal: controller.signal })
  const next = lines.next()
  controller.abort(new Error('enough'))
  await expect(next).rejects.toThrow('enough')
  silent.destroy()
})
