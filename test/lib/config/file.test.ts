import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../../lib/config.ts'
import { exitCodeOf } from '../../../lib/errors.ts'
import { connectors, inFolder, pipeline, problemsOf } from '../../support/yaml-config.ts'

describe('a file that is not a pipeline', () => {
  const got = 'expected a mapping with name, source and destination, got'
  test.each<[string, string | Uint8Array, string]>([
    ['empty', '', `config.yml:1:1: ${got} nothing`],
    ['only comments', '# nothing here\n', `config.yml:1:1: ${got} nothing`],
    ['a list', '- a\n- b\n', `config.yml:1:1: ${got} a list`],
    ['text', 'hello\n', `config.yml:1:1: ${got} "hello"`],
    [
      'not YAML',
      'name: [x\n',
      'config.yml:2:1: not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    [
      'two documents',
      `${pipeline()}---\nname: b\n`,
      'config.yml:8:1: a second document starts here; a pipeline is one',
    ],
    ['a duplicate key', `${pipeline()}name: b\n`, 'config.yml:8:1 name: duplicate key, first on line 1'],
  ])('%s', async (_title, text, expected) => {
    expect(await problemsOf(text)).toEqual([expected])
  })

  const failure = async (path: string): Promise<unknown> =>
    loadConfig(path, ['source'], {}, connectors).then(
      () => undefined,
      (error: unknown) => error,
    )

  test.each<[string, (folder: string) => Promise<string>, string]>([
    ['missing', async (folder) => join(folder, 'no.yml'), 'no such file'],
    ['a folder', async (folder) => folder, 'it is a folder'],
    [
      'below a file',
      async (folder) => {
        await writeFile(join(folder, 'file'), '')
        return join(folder, 'file', 'c.yml')
      },
      'part of the path is not a folder',
    ],
    [
      'a link to nothing',
      async (folder) => {
        await symlink(join(folder, 'gone'), join(folder, 'link.yml'))
        return join(folder, 'link.yml')
      },
      'no such file',
    ],
    [
      'a link to itself',
      async (folder) => {
        await symlink(join(folder, 'link.yml'), join(folder, 'link.yml'))
        return join(folder, 'link.yml')
      },
      'its symbolic links go in circles',
    ],
    [
      'huge',
      async (folder) => {
        await writeFile(join(folder, 'c.yml'), Buffer.alloc(5 * 1024 * 1024, '#'))
        return join(folder, 'c.yml')
      },
      'it is larger than 4 MiB',
    ],
  ])('%s', (_title, make, why) =>
    inFolder(async (folder) => {
      const path = await make(folder)
      const error = await failure(path)
      expect(error).toMatchObject({ message: `cannot read the pipeline file ${JSON.stringify(path)}: ${why}` })
      expect(exitCodeOf(error)).toBe(2)
    }),
  )

  test('not UTF-8', () =>
    inFolder(async (folder) => {
      await mkdir(join(folder, 'deep'))
      const path = join(folder, 'deep', 'c.yml')
      await writeFile(path, Buffer.from([0x6e, 0x61, 0x3a, 0x20, 0xff, 0xfe]))
      expect(await failure(path)).toMatchObject({
        message: `the pipeline file ${JSON.stringify(path)} is not UTF-8 text`,
      })
    }))
})
