import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Bookmarks, readBookmarks } from '../../../lib/pipe/bookmarks.ts'
import type { PipeState } from '../../../lib/pipe/state.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-bookmarks-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const stateOf = (run: string, page: number): PipeState => ({
  run: run.repeat(32),
  at: new Date('2026-11-26T00:00:00Z'),
  page,
  rows: page * 10,
  end: false,
  position: { page },
})

test('a value says where every stream stands, those of earlier runs too, and is read back', async () => {
  const file = join(folder, 'said')
  const bookmarks = new Bookmarks(new Map([['old', stateOf('a', 7)]]))
  const first = bookmarks.move('orders', stateOf('b', 1))
  const second = bookmarks.move('orders', stateOf('b', 2))
  await writeFile(file, `${first}\n${second}\n`)
  expect(await readBookmarks(file)).toEqual(
    new Map([
      ['old', stateOf('a', 7)],
      ['orders', stateOf('b', 2)],
    ]),
  )
})

test('a file that is absent or empty says that nothing was loaded yet', async () => {
  const file = join(folder, 'said')
  expect(await readBookmarks(file)).toEqual(new Map())
  await writeFile(file, '\n')
  expect(await readBookmarks(file)).toEqual(new Map())
})
