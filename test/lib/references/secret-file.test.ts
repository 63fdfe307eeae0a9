import { execFileSync } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readSecretFile } from '../../../lib/references/secret-file.ts'
import { inFolder } from '../../support/yaml-config.ts'

test.each<[string, string | Buffer, string]>([
  ['one line', 'secret\n', 'secret'],
  ['one line of Windows', 'secret\r\n', 'secret'],
  ['no line end', 'secret', 'secret'],
  ['two line ends, of which one is the editor’s', 'secret\n\n', 'secret\n'],
  ['blanks, which may be part of it', ' secret ', ' secret '],
  ['a key of many lines', 'BEGIN\nabc\nEND\n', 'BEGIN\nabc\nEND'],
  ['a byte order mark, which may be part of it', '\ufeffsecret\n', '\ufeffsecret'],
  ['nothing', '', ''],
  ['as much as is read', 'x'.repeat(1024 * 1024), 'x'.repeat(1024 * 1024)],
])('a file of %s', (_what, content, secret) =>
  inFolder(async (folder) => {
    const path = join(folder, 'secret')
    await writeFile(path, content)
    expect(await readSecretFile(path)).toBe(secret)
  }),
)

test.each<[string, (path: string) => unknown, string]>([
  ['is not there', () => {}, 'no such file'],
  ['is a folder', (path) => mkdir(path), 'it is a folder'],
  ['is a pipe, which might never be written', (path) => execFileSync('mkfifo', [path]), 'it is not a regular file'],
  ['links to itself', (path) => symlink(path, path), 'its symbolic links go in circles'],
  ['is too large', (path) => writeFile(path, 'x'.repeat(1024 * 1024 + 1)), 'it is larger than 1 MiB'],
  ['is not text', (path) => writeFile(path, Buffer.from([0x73, 0xff])), 'is not UTF-8 text'],
])('a file that %s is refused, by name', (_what, make, why) =>
  inFolder(async (folder) => {
    const path = join(folder, 'secret')
    await make(path)
    const failure = await readSecretFile(path).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'config', message: expect.stringContaining(why) })
    expect(failure).toMatchObject({ message: expect.stringContaining(JSON.stringify(path)) })
  }),
)
