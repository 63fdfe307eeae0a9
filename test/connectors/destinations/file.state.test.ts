import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { realDisk } from '../../../connectors/destinations/file/disk.ts'
import { Sidecar } from '../../../connectors/destinations/file/sidecar.ts'
import type { Page } from '../../../lib/source.ts'
import { A, B, full, more, newPlace, type Place, removePlace, STATE, stream } from '../../support/file-destination.ts'
import { load } from '../../support/load.ts'

let place: Place
beforeEach(async () => {
  place = await newPlace()
})
afterEach(() => removePlace(place))

const signal = new AbortController().signal

describe('the state file', () => {
  test('with any byte changed, cut anywhere, or empty it is an error, never a fresh start', async () => {
    await load(place.create('full_refresh'), full('a', 1), A)
    const good = await readFile(place.path(STATE))
    const sidecar = new Sidecar(realDisk, place.path(STATE))
    expect((await sidecar.read())?.phase).toBe('published')
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good)
      bad[at] = (bad[at] as number) ^ 1
      await writeFile(place.path(STATE), bad)
      await expect(sidecar.read(), `byte ${at}`).rejects.toMatchObject({
        code: 'edited',
        message: expect.stringMatching(/is damaged/),
      })
    }
    for (let length = 0; length < good.length; length += 7) {
      await writeFile(place.path(STATE), good.subarray(0, length))
      await expect(sidecar.read(), `${length} bytes`).rejects.toMatchObject({ code: 'edited' })
    }
    const failing = load(place.create('full_refresh'), full('b', 2), B)
    await expect(failing).rejects.toMatchObject({ code: 'edited', message: expect.stringContaining(place.path(STATE)) })
    expect(await place.read('main.json')).toBe('"a1"\n"a2"\n')
  })

  test('of another pipeline is an error that names both', async () => {
    await load(place.create('full_refresh'), full('a', 1), A)
    const failing = load(place.create('full_refresh'), { ...full('b', 2), pipeline: 'other' }, B)
    await expect(failing).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringMatching(/belongs to pipeline trial\/test\/main, not to other\/test\/main/),
    })
  })

  test('of a newer format is an error', async () => {
    const sidecar = new Sidecar(realDisk, place.path(STATE))
    await load(place.create('full_refresh'), full('a', 1), A)
    const state = await sidecar.read()
    if (!state) throw new Error('no state')
    await sidecar.commit({ ...state, format: 2 as 1 })
    const failing = load(place.create('full_refresh'), full('b', 2), B)
    await expect(failing).rejects.toMatchObject({ code: 'edited', message: expect.stringMatching(/has format 2/) })
  })

  test('that vanishes while the run is at work stops it', async () => {
    const destination = place.create('full_refresh')
    await destination.open(full('a', 1), signal)
    await rm(place.path(STATE))
    await destination.write(A[0] as Page, signal)
    const failing = destination.flush({ run: 'a', page: 1, rows: 2, position: null, end: true })
    await expect(failing).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringMatching(/was removed or replaced/),
    })
    await destination.close()
  })

  test('that is missing where a stream has a checkpoint of ours is an error', async () => {
    const destination = place.create('stream')
    await destination.open(stream('a', 1), signal)
    await destination.write(B[0] as Page, signal)
    const checkpoint = { run: 'a', page: 1, rows: 1, position: { at: 0 }, end: false }
    const receipt = await destination.flush(checkpoint)
    await destination.close()
    await rm(place.path(STATE))
    const next = place.create('stream')
    const run = { ...stream('a', 2), stored: { ...checkpoint, ...(receipt && { receipt }) } }
    await expect(next.open(run, signal)).rejects.toMatchObject({
      code: 'edited',
      message: expect.stringMatching(/is missing/),
    })
    await next.close()
  })

  test('moves with its folder', async () => {
    await load(place.create('full_refresh', { destinationId: place.path('here/main') }), full('a', 1), A)
    await rename(place.path('here'), place.path('there'))
    await load(place.create('incremental', { destinationId: place.path('there/main') }), more('b', 2), B)
    expect(await place.read('there/main.json')).toBe('"a1"\n"a2"\n"b1"\n"b2"\n')
  })
})

describe('a process that was taken over', () => {
  // Its lock is lost: as on another machine, whose kernel knows nothing of it.
  const takeOver = async (run: string, epoch: number) => {
    await rm(place.path('.main.lock'))
    const next = place.create('full_refresh')
    await next.open(full(run, epoch), signal)
    return next
  }

  test.each(['a', 'b'])('can neither flush nor publish (the next run is %s)', async (run) => {
    const zombie = place.create('full_refresh')
    await zombie.open(full('a', 1), signal)
    await zombie.write(A[0] as Page, signal)
    const end = { run: 'a', page: 1, rows: 2, position: null, end: true }
    const other = await takeOver(run, 2)
    await expect(zombie.flush(end)).rejects.toMatchObject({ code: 'fenced' })
    await zombie.close()

    const second = place.create('full_refresh')
    await other.close()
    await second.open(full('a', 3), signal)
    await second.write(A[0] as Page, signal)
    await second.flush(end)
    const third = await takeOver(run, 4)
    await expect(second.publish()).rejects.toMatchObject({ code: 'fenced' })
    await second.close()
    await third.close()
    expect(await place.read('main.json')).toBeUndefined()
  })
})
