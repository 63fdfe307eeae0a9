import { appendFile, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { realDisk } from '../../../connectors/destinations/file/disk.ts'
import type { Page } from '../../../lib/source.ts'
import { tornWrite, withFiles } from '../../support/disk.ts'
import {
  A,
  B,
  first,
  full,
  more,
  newPlace,
  type Place,
  pages,
  removePlace,
  STATE,
  stream,
} from '../../support/file-destination.ts'
import { load, runOf } from '../../support/load.ts'

let place: Place
beforeEach(async () => {
  place = await newPlace()
})
afterEach(() => removePlace(place))

const signal = new AbortController().signal

describe('what the Python program left', () => {
  test('a staging file is neither published nor removed', async () => {
    await writeFile(place.path('main_temp.json'), '"stale"\n{"torn')
    await expect(load(place.create('full_refresh'), full('a', 1), A)).rejects.toMatchObject({
      code: 'edited',
      message: `${place.path('main_temp.json')} exists and is not this pipeline's staging`,
    })
    expect(await place.read('main_temp.json')).toBe('"stale"\n{"torn')
    expect(await place.read('main.json')).toBeUndefined()
  })

  test('a published file is appended to', async () => {
    await writeFile(place.path('main.json'), '"python"\n')
    await load(place.create('incremental'), more('a', 1), A)
    expect(await place.read('main.json')).toBe('"python"\n"a1"\n"a2"\n')
  })

  test('a stream goes on from the stored checkpoint', async () => {
    await writeFile(place.path('main.json'), '"python"\n')
    const stored = { run: 'a', page: 1, rows: 1, position: { at: 0 }, end: false }
    const destination = place.create('stream')
    expect(await destination.open({ ...stream('a', 1), stored }, signal)).toEqual(stored)
    await destination.close()
  })

  test.each(['incremental', 'stream'] as const)('a file without a line end is not appended to (%s)', async (mode) => {
    await writeFile(place.path('main.json'), '"python"\n{"torn')
    const failing = load(place.create(mode), runOf('a', mode, 1), A)
    await expect(failing).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringMatching(/does not end with a line end/),
    })
    expect(await place.read('main.json')).toBe('"python"\n{"torn')
  })

  test('a first incremental run does not replace a file that is not its own', async () => {
    await writeFile(place.path('main.json'), '"precious"\n')
    await expect(load(place.create('incremental'), first('a', 1), A)).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringMatching(/main\.json exists/),
      hint: expect.stringContaining('--reset'),
    })
    expect(await place.read('main.json')).toBe('"precious"\n')
    await load(place.create('full_refresh'), full('reset', 2), A)
    expect(await place.read('main.json')).toBe('"a1"\n"a2"\n')
  })
})

describe('a file with the name of a staging file', () => {
  test.each([
    ['before the first run', async () => {}],
    ['after a run that was published', () => load(place.create('full_refresh'), full('a', 1), A)],
    [
      'after a run of another mode that was not',
      () => load(place.create('incremental'), first('a', 1), B.slice(0, 1), { publish: false }),
    ],
  ])('%s is left alone, and the run stops', async (_, before) => {
    await before()
    await writeFile(place.path('main_temp.json'), '"precious"\n')
    const found = await place.read('main.json')
    for (const epoch of [2, 3])
      await expect(load(place.create('full_refresh'), full('b', epoch), B)).rejects.toMatchObject({
        code: 'edited',
        message: expect.stringMatching(/main_temp\.json exists and is not this pipeline's staging/),
        hint: expect.stringMatching(/Move it away/),
      })
    expect(await place.read('main_temp.json')).toBe('"precious"\n')
    expect(await place.read('main.json')).toBe(found)
  })

  test('that the mode of the run does not use is none of its business', async () => {
    await writeFile(place.path('main_incremental.json'), '"precious"\n')
    await load(place.create('full_refresh'), full('a', 1), A)
    await load(place.create('stream'), stream('b', 2), B)
    expect(await place.read('main_incremental.json')).toBe('"precious"\n')
    expect(await place.read('main.json')).toBe('"a1"\n"a2"\n"b1"\n"b2"\n')
  })

  test('of a target that has no rows any more is not emptied', async () => {
    const other = pages(['o1']).map((page) => ({
      ...page,
      records: page.records.map((record) => ({ ...record, destinationId: place.path('other') })),
    }))
    await load(place.create('full_refresh'), full('a', 1), other)
    await writeFile(place.path('other_temp.json'), '"precious"\n')
    await expect(load(place.create('full_refresh'), full('b', 2), B)).rejects.toMatchObject({ code: 'edited' })
    expect(await place.read('other_temp.json')).toBe('"precious"\n')
  })

  test('is removed when a killed process of this pipeline began it, and when it was left over by an append', async () => {
    const destination = place.create('full_refresh')
    await destination.open(full('a', 1), signal)
    await writeFile(place.path('main_temp.json'), '"uncommitted"\n')
    await destination.close()
    await load(place.create('full_refresh'), full('b', 2), A)
    await load(place.create('incremental'), more('c', 3), B)
    await writeFile(place.path('main_incremental.json'), '"b1"\n"b2"\n')
    await load(place.create('incremental'), more('d', 4), B)
    expect(await place.read('main.json')).toBe('"a1"\n"a2"\n"b1"\n"b2"\n"b1"\n"b2"\n')
    expect(await readdir(place.folder)).toEqual([STATE, 'main.json'])
  })
})

test('a run that comes back in another mode starts over', async () => {
  await load(place.create('full_refresh'), full('a', 1), A)
  await load(place.create('incremental'), first('b', 2), B.slice(0, 1), { publish: false })
  const destination = place.create('full_refresh')
  expect(await destination.open(full('b', 3), signal)).toBeUndefined()
  await destination.close()
  await load(place.create('full_refresh'), full('b', 4), B)
  expect(await place.read('main.json')).toBe('"b1"\n"b2"\n')
  expect(await readdir(place.folder)).toEqual([STATE, 'main.json'])
})

describe('somebody changes the published file between two runs', () => {
  const changes: readonly (readonly [string, () => Promise<void>])[] = [
    ['adds to it', () => appendFile(place.path('main.json'), '"mine"\n')],
    ['cuts it', () => truncate(place.path('main.json'), 5)],
    ['changes a byte', () => writeFile(place.path('main.json'), '"a1"\n"ax"\n')],
    ['removes it', () => rm(place.path('main.json'))],
  ]
  for (const [title, change] of changes) {
    test.each(['incremental', 'stream'] as const)(`${title}: a run that appends stops (%s)`, async (mode) => {
      await load(place.create('full_refresh'), full('a', 1), A)
      await change()
      const found = await place.read('main.json')
      await expect(load(place.create(mode), runOf('b', mode, 2), B)).rejects.toMatchObject({
        code: 'edited',
        message: expect.stringContaining(place.path('main.json')),
        hint: expect.stringContaining(mode === 'stream' ? 'force_ignore_checkpoint' : '--reset'),
      })
      expect(await place.read('main.json')).toBe(found)
    })

    test(`${title}: a run that replaces does so`, async () => {
      await load(place.create('full_refresh'), full('a', 1), A)
      await change()
      await load(place.create('full_refresh'), full('b', 2), B)
      expect(await place.read('main.json')).toBe('"b1"\n"b2"\n')
    })
  }

  test('while the run is at work: it stops before it publishes', async () => {
    await load(place.create('full_refresh'), full('a', 1), A)
    const destination = place.create('incremental')
    await destination.open(more('b', 2), signal)
    await destination.write(B[1] as Page, signal)
    await destination.flush({ run: 'b', page: 1, rows: 1, position: null, end: true })
    await appendFile(place.path('main.json'), '"mine"\n')
    await expect(destination.publish()).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringMatching(/has 17 bytes.* left 10/),
    })
    await destination.close()
    expect(await place.read('main.json')).toBe('"a1"\n"a2"\n"mine"\n')
  })
})

describe('the staged file', () => {
  async function interrupted(): Promise<void> {
    await load(place.create('full_refresh'), full('a', 1), B.slice(0, 1), { publish: false })
  }

  test('what lies behind the last commit is cut off', async () => {
    await interrupted()
    await appendFile(place.path('main_temp.json'), '"uncommitted"\n{"torn')
    await load(place.create('full_refresh'), full('a', 2), B)
    expect(await place.read('main.json')).toBe('"b1"\n"b2"\n')
  })

  test.each([
    ['shorter', '"b', /has 2 bytes, and the last commit left 5/],
    ['different', '"b2"\n', /the 5 bytes before byte 5 are not those it wrote/],
  ])('that is %s is an error', async (_, text, message) => {
    await interrupted()
    await writeFile(place.path('main_temp.json'), text)
    await expect(load(place.create('full_refresh'), full('a', 2), B)).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringMatching(message),
    })
    await load(place.create('full_refresh'), full('b', 3), B)
    expect(await place.read('main.json')).toBe('"b1"\n"b2"\n')
  })

  test('rows that a failed write tore are not seen again, whatever the source returns next', async () => {
    for (const n of [1, 2, 3, 4]) {
      const torn = tornWrite(realDisk, n, new Error('torn'))
      await expect(load(place.create('stream', {}, torn), stream('a', n), B)).rejects.toThrow('torn')
      expect((await place.read('main.json'))?.replaceAll('"b1"\n', '').length ?? 0).toBeLessThan(5)
      // Shorter than what was torn, so that its rest would be seen behind.
      const next = pages(['b1'], [''])
      await load(place.create('stream'), stream('a', n), next)
      expect(await place.read('main.json'), `torn write ${n}`).toBe('"b1"\n""\n')
      await rm(place.path(STATE))
      await rm(place.path('main.json'))
    }
  })

  test('this test notices a recovery that cuts nothing', async () => {
    const uncut = withFiles(realDisk, () => ({ truncate: async () => {} }))
    await load(place.create('stream'), stream('a', 1), B.slice(0, 1), { publish: false })
    await appendFile(place.path('main.json'), '"uncommitted"\n')
    await load(place.create('stream', {}, uncut), stream('a', 2), pages(['b1'], ['']))
    expect(await place.read('main.json')).not.toBe('"b1"\n""\n')
  })
})
