import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { lockFile } from '../../connectors/lock.ts'
import { type Script, startScript } from '../support/script.ts'

const LOCK = new URL('../support/scripts/lock.ts', import.meta.url)
const LOOP = new URL('../support/scripts/lock-loop.ts', import.meta.url)

let folder: string
let path: string
const scripts: Script[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-lock-'))
  path = join(folder, 'a.lock')
})
afterEach(async () => {
  for (const script of scripts.splice(0)) {
    script.signal('SIGKILL')
    await script.ended
  }
  await rm(folder, { recursive: true, force: true })
})

async function start(file: URL, ...args: string[]): Promise<Script> {
  const script = await startScript(file, args)
  scripts.push(script)
  return script
}

async function holder(name: string): Promise<Script> {
  const script = await start(LOCK, path, name)
  expect(await script.line()).toBe('held')
  return script
}

const lockedBy = (name: string) => expect.objectContaining({ code: 'locked', message: `${path} is locked by ${name}` })

describe('a file lock', () => {
  test('keeps out another part of the same process and names the holder', async () => {
    const lock = await lockFile(path, 'pid 1 on here')
    await expect(lockFile(path, 'pid 2')).rejects.toEqual(lockedBy('pid 1 on here'))
    await expect(lockFile(path, 'pid 3')).rejects.toEqual(lockedBy('pid 1 on here'))
    await lock.release()
  })

  test('keeps out another process and names the holder', async () => {
    await holder('pid 7 on there since noon')
    await expect(lockFile(path, 'us')).rejects.toEqual(lockedBy('pid 7 on there since noon'))
  })

  test('keeps other processes out after this one has tried in vain', async () => {
    const lock = await lockFile(path, 'us')
    await expect(lockFile(path, 'us again')).rejects.toEqual(lockedBy('us'))
    const other = await start(LOCK, path, 'other')
    expect(await other.line()).toBe('refused: locked')
    await lock.release()
  })

  test('can be taken once it is released, and leaves no files', async () => {
    const script = await holder('other')
    script.tell('release')
    expect(await script.line()).toBe('released')
    const lock = await lockFile(path, 'us')
    await lock.release()
    expect(await readdir(folder)).toEqual([])
  })

  test('is free at once when its holder is killed', async () => {
    const script = await holder('other')
    script.signal('SIGKILL')
    await script.ended
    const lock = await lockFile(path, 'us')
    await expect(lockFile(path, 'another')).rejects.toEqual(lockedBy('us'))
    await lock.release()
    expect(await readdir(folder)).toEqual([])
  })

  test('stays with a holder that is stopped', async () => {
    const script = await holder('sleeper')
    script.signal('SIGSTOP')
    await expect(lockFile(path, 'us')).rejects.toEqual(lockedBy('sleeper'))
    script.signal('SIGCONT')
  })

  test('of one file does not lock another', async () => {
    const one = await lockFile(path, 'us')
    const two = await lockFile(join(folder, 'b.lock'), 'us')
    await two.release()
    await one.release()
  })

  test('can be released twice, also at once, without touching that of the next holder', async () => {
    const lock = await lockFile(path, 'us')
    await Promise.all([lock.release(), lock.release()])
    await holder('other')
    await lock.release()
    await expect(lockFile(path, 'us')).rejects.toEqual(lockedBy('other'))
  })

  test('is never held by two of several processes that take and release it all the time', async () => {
    const loops = await Promise.all([1, 2, 3].map(() => start(LOOP, path, '150')))
    for (const loop of loops) expect(await loop.ended).toEqual({ code: 0, signal: null, stderr: '' })
    expect(await readdir(folder)).toEqual([])
  })

  test.each([
    ['is missing', undefined],
    ['is empty', ''],
    ['holds control characters', 'pid\u001b[31m 1'],
    ['holds several lines', 'pid 1\npid 2'],
    ['is too long to be shown', 'x'.repeat(501)],
  ])('calls the holder another process when its name %s', async (_, text) => {
    const lock = await lockFile(path, 'us')
    if (text === undefined) await rm(`${path}.holder`)
    else await writeFile(`${path}.holder`, text)
    await expect(lockFile(path, 'other')).rejects.toEqual(lockedBy('another process'))
    await lock.release()
  })

  test('says what is locked in the words of its caller', async () => {
    const lock = await lockFile(path, 'us')
    await expect(lockFile(path, 'other', { what: 'the output' })).rejects.toThrow('the output is locked by us')
    await lock.release()
  })

  test('in a folder that is missing names the folder', async () => {
    await expect(lockFile(join(folder, 'no', 'a.lock'), 'us', { code: 'destination' })).rejects.toEqual(
      expect.objectContaining({
        code: 'destination',
        message: expect.stringContaining(`${join(folder, 'no')} does not exist`),
      }),
    )
  })

  test('at the path of a folder says so', async () => {
    await mkdir(path)
    await expect(lockFile(path, 'us')).rejects.toEqual(
      expect.objectContaining({ code: 'state', message: `${path}: is a folder, not a database file` }),
    )
  })
})
