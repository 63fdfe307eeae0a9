// CSV through a pipe, as a database's export or a spreadsheet writes it; csv-parse is the other opinion.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { load } from '../../../lib/load.ts'
import { silentLog } from '../../../lib/log.ts'
import { CsvReader } from '../../../lib/pipe/csv.ts'
import { FromPipe, type FromPipeOptions } from '../../../lib/pipe/from.ts'
import { InvalidLines } from '../../../lib/pipe/invalid.ts'
import { wholeLines } from '../../../lib/pipe/lines.ts'
import { pipeline } from '../../../lib/pipeline.ts'
import { textOf } from '../../../lib/record.ts'
import { testConfig } from '../../support/engine.ts'
import { type Ledger, ledger, ledgerDestination } from '../../support/ledger.ts'
import { scriptedSource } from '../../support/shelf.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-csv-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size))
}

async function loaded(bytes: string | Uint8Array, options: FromPipeOptions = {}): Promise<Ledger> {
  const on = ledger()
  const source = scriptedSource({ pages: [] })
  const config = await testConfig({ folder, source, destination: ledgerDestination(on) })
  await pipeline(new FromPipe(cut(Buffer.from(bytes), 7), config, { from: 'csv', ...options }), load(config))
  return on
}

/** What the reader makes of bytes that come in pieces of this size. */
async function read(bytes: Buffer, size: number): Promise<string[]> {
  const reader = new CsvReader({ idField: undefined, invalid: new InvalidLines({ log: silentLog }) })
  for await (const lines of wholeLines(cut(bytes, size), new AbortController().signal)) reader.block(lines)
  return reader.finish().flatMap(({ page }) => page.records.map(({ data }) => textOf(data)))
}

describe('CSV', () => {
  test('the header names the columns, values are texts, the id is the number of the line', async () => {
    const on = await loaded('\ufeffid,name,at\r\n7,"Ada ""the first""\nof Lovelace, née Byron",\r\n\r\n08,"",1.10\r\n')
    expect(on.published.map(({ id, text }) => [id, JSON.parse(text)])).toEqual([
      ['2', { id: '7', name: 'Ada "the first"\nof Lovelace, née Byron', at: '' }],
      ['5', { id: '08', name: '', at: '1.10' }],
    ])
  })

  test('a column can be the id', async () => {
    const on = await loaded('id,n\nx,1\ny,2', { idField: 'id', stream: 'letters' })
    expect(on.published.map(({ id }) => id)).toEqual(['x', 'y'])
    await expect(loaded('id,n\nx,1\n', { idField: 'key' })).rejects.toThrow('--id: the header row has no column key')
    await expect(loaded('id,n\n,1\n', { idField: 'id' })).rejects.toThrow('line 2 of the pipe has no id at id')
  })

  test('a header alone is a table without rows; nothing at all is an error', async () => {
    expect((await loaded('id,n\n')).published).toEqual([])
    expect((await loaded('id,n')).published).toEqual([])
    await expect(loaded('')).rejects.toMatchObject({ code: 'incomplete' })
  })

  test.each<[string, string | Uint8Array, string]>([
    ['a name twice', 'a,a\n1,2\n', 'line 1 of the pipe: the header row names "a" twice'],
    ['no name', 'a,\n1,2\n', 'line 1 of the pipe: column 2 of the header row has no name'],
    ['a cell too many', 'a,b\n1,2\n3,4,5\n', 'line 3 of the pipe: the row has 3 cells instead of 2: 3,4,5'],
    ['text behind a quote', 'a,b\n"1"x,2\n', 'line 2 of the pipe: the row has text behind the closing quote of cell 1'],
    [
      'an open quote',
      'a,b\n1,2\n3,"4\n5,6\n',
      'line 3 of the pipe: the row opens a quote that is not closed: 3,"4·5,6',
    ],
    ['no UTF-8', Buffer.from('a\nZürich\n', 'latin1'), 'line 2 of the pipe: it is not UTF-8'],
  ])('%s ends the load', async (_what, bytes, message) => {
    await expect(loaded(bytes)).rejects.toThrow(message)
  })

  test('rows that do not fit can be passed over, but not one that was cut off', async () => {
    const on = await loaded('a,b\n1,2\n3\n4,5\n', { onInvalid: 'skip' })
    expect(on.published.map(({ id }) => id)).toEqual(['2', '4'])
    await expect(loaded('a,b\n1,2\n3', { onInvalid: 'skip' })).rejects.toMatchObject({ code: 'incomplete' })
    await expect(loaded('a,b\n1,2\n"3', { onInvalid: 'skip' })).rejects.toThrow('not closed')
  })

  test('gives what csv-parse gives, whatever the pieces', async () => {
    const cell = fc.oneof(fc.stringMatching(/^[a-z0-9 .-]{0,6}$/), fc.string({ maxLength: 8, unit: 'grapheme' }))
    const table = fc
      .integer({ min: 2, max: 4 })
      .chain((columns) =>
        fc.array(fc.array(cell, { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 6 }),
      )
    const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`
    await fc.assert(
      fc.asyncProperty(
        table,
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom('\n', '\r\n'),
        async (rows, size, end) => {
          const names = rows[0]?.map((_, n) => `c${n}`) ?? []
          const bytes = Buffer.from([names, ...rows].map((row) => row.map(quoted).join(',') + end).join(''))
          const expected = parse(bytes, { columns: true }) as unknown[]
          expect((await read(bytes, size)).map((text) => JSON.parse(text))).toEqual(expected)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('a cell may go over many lines and pieces', async () => {
    const long = `a,b\n1,"${'line\n'.repeat(1_000_000)}"\n`
    expect((await read(Buffer.from(long), 1 << 12)).map((text) => text.length)).toEqual([6_000_016])
  })
})
