import { mkdir, rm, writeFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Disk, type DiskFile, realDisk } from '../../../connectors/destinations/file/disk.ts'
import { RawJson } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'
import { withFiles } from '../../support/disk.ts'
import { A, B, full, newPlace, type Place, pages, removePlace } from '../../support/file-destination.ts'
import { load } from '../../support/load.ts'

let place: Place
beforeEach(async () => {
  place = await newPlace()
})
afterEach(() => removePlace(place))

const signal = new AbortController().signal

describe('a disk that fails', () => {
  const failing = (change: (file: DiskFile, path: string) => Partial<DiskFile>): Disk => withFiles(realDisk, change)
  const error = (code: string) => Object.assign(new Error(`${code}: test`), { code })

  test('a failed sync is not tried again', async () => {
    let syncs = 0
    const disk = failing((file, path) => ({
      async sync() {
        if (path.endsWith('.tmp')) return file.sync()
        syncs += 1
        throw error('EIO')
      },
    }))
    const destination = place.create('full_refresh', { durability: 'power_loss' }, disk)
    await destination.open(full('a', 1), signal)
    await destination.write(A[0] as Page, signal)
    const end = { run: 'a', page: 1, rows: 2, position: null, end: true }
    await expect(destination.flush(end)).rejects.toThrow('EIO')
    await expect(destination.flush(end)).rejects.toThrow('EIO')
    await expect(destination.publish()).rejects.toThrow('EIO')
    await destination.close()
    expect(syncs).toBe(1)
    await load(place.create('full_refresh'), full('a', 2), A)
    expect(await place.read('main.json')).toBe('"a1"\n"a2"\n')
  })

  test('durability: process never syncs', async () => {
    const never = () => Promise.reject(new Error('synced'))
    const disk = { ...failing(() => ({ sync: never })), syncFolder: never }
    await load(place.create('full_refresh', { durability: 'process' }, disk), full('a', 1), A)
    await expect(
      load(place.create('full_refresh', { durability: 'power_loss' }, disk), full('b', 2), B),
    ).rejects.toThrow('synced')
  })

  test.runIf(process.platform === 'linux')('a full disk is named, with what to do', async () => {
    const file = await realDisk.open('/dev/full', 'write')
    await expect(file.write(Buffer.from('x'), 0)).rejects.toMatchObject({
      code: 'destination',
      message: 'cannot write to /dev/full: no space left on the disk (ENOSPC)',
      hint: expect.stringContaining('Free some space'),
    })
    await file.close()
  })

  test('the message names the file and the reason', async () => {
    await writeFile(place.path('file'), '')
    const inFile = place.create('full_refresh', { destinationId: place.path('file/main') })
    await expect(inFile.check()).rejects.toMatchObject({ code: 'destination' })
    await expect(load(inFile, full('a', 1), A)).rejects.toMatchObject({ code: 'destination' })

    await mkdir(place.path('main.json'))
    const isFolder = place.create('full_refresh')
    const message = `${place.path('main.json')} is a folder`
    await expect(isFolder.check()).rejects.toMatchObject({ code: 'destination', message })
    await expect(load(isFolder, full('a', 1), A)).rejects.toMatchObject({ code: 'destination', message })
  })
})

describe('targets', () => {
  const to = (target: string): Page => ({
    records: [{ id: '1', data: RawJson.from('"1"'), destinationId: target }],
    next: null,
  })

  test.each(['../outside', '/outside', 'a/../../../../../../../../outside'])('a record may not name %s', async (id) => {
    await expect(load(place.create('full_refresh'), full('a', 1), [to(id)])).rejects.toMatchObject({
      code: 'invalid_record',
      message: expect.stringMatching(/is outside/),
    })
  })

  test.each(['', 'x/', '..', 'a\0b'])('a record may not name %j, which is not a file', async (id) => {
    await expect(load(place.create('full_refresh'), full('a', 1), [to(id)])).rejects.toMatchObject({
      code: 'invalid_record',
      message: expect.stringMatching(/does not name a file/),
    })
    if (id !== 'a\0b') expect(() => place.create('full_refresh', { destinationId: id })).toThrow(/does not name a file/)
  })

  test.each(['main_temp', '.main.state'])('two targets cannot share a file: main and %s', async (other) => {
    const page = to(place.path(other))
    const both = { ...page, records: [{ id: '0', data: RawJson.from('0') }, ...page.records] }
    await expect(load(place.create('full_refresh'), full('a', 1), [both])).rejects.toMatchObject({
      code: 'destination',
      message: expect.stringMatching(/which is for/),
    })
  })

  test('a target that gets no rows any more is emptied with the others, unless on_empty says keep', async () => {
    for (const [on_empty, left] of [
      ['keep', '"1"\n'],
      ['publish', ''],
    ] as const) {
      const run = full(`one ${on_empty}`, 1)
      await load(place.create('full_refresh', { on_empty }), run, [to(place.path('other'))])
      await load(place.create('full_refresh', { on_empty }), full(`two ${on_empty}`, 1), A)
      expect(await place.read('other.json')).toBe(left)
      expect(await place.read('main.json')).toBe('"a1"\n"a2"\n')
      await load(place.create('full_refresh', { on_empty }), full(`three ${on_empty}`, 1), pages([]))
      expect(await place.read('main.json')).toBe(on_empty === 'keep' ? '"a1"\n"a2"\n' : '')
    }
  })

  test('a file with the name of a staging file is only written over when a killed process of this pipeline began it', async () => {
    await writeFile(place.path('other_temp.json'), '"stale"\n"stale"\n')
    const run = () => load(place.create('full_refresh'), full('a', 2), [to(place.path('other'))])
    for (const _ of ['first', 'again'])
      await expect(run()).rejects.toMatchObject({
        code: 'edited',
        message: `${place.path('other_temp.json')} exists and is not this pipeline's staging`,
      })
    expect(await place.read('other_temp.json')).toBe('"stale"\n"stale"\n')
    await rm(place.path('other_temp.json'))
    const destination = place.create('full_refresh')
    await destination.open(full('a', 2), signal)
    await destination.write(to(place.path('other')), signal)
    await writeFile(place.path('other_temp.json'), '"uncommitted"\n"uncommitted"\n')
    await destination.close()
    await run()
    expect(await place.read('other.json')).toBe('"1"\n')
  })

  test('an empty complete extract into nothing leaves an empty file', async () => {
    await load(place.create('full_refresh'), full('a', 1), pages([]))
    expect(await place.read('main.json')).toBe('')
  })

  test('what it occupies is known before it is opened', () => {
    const names = ['main.json', 'main_temp.json', 'main_incremental.json', '.main.state.json', '.main.lock']
    expect(place.create('full_refresh').occupies()).toEqual(names.map((name) => place.path(name)))
  })

  test('outputs are the published files, as a person would name them', async () => {
    const destination = place.create('full_refresh')
    expect(destination.outputs()).toEqual([])
    await load(destination, full('a', 1), A)
    expect(destination.outputs()).toEqual([place.path('main.json')])
    const here = `test-output-${process.pid}`
    const near = place.create('full_refresh', { destinationId: `${here}/main` })
    try {
      await load(near, full('b', 2), A)
      expect(near.outputs()).toEqual([relative('', `${here}/main.json`)])
    } finally {
      await rm(here, { recursive: true })
    }
  })
})
