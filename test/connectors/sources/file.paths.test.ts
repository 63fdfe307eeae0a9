import { execFile } from 'node:child_process'
import { chmod, mkdir, open, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import source from '../../../connectors/sources/file.ts'
import { failure, openFile, pagesOf, read, texts, useFolder } from '../../support/file-source.ts'
import { startScript } from '../../support/script.ts'

const folder = useFolder()

describe('which files', () => {
  it('a pattern finds them in folders, sorted by name, each once, and none that start with a dot', async () => {
    for (const dir of ['b/deep/er', 'a', '.hidden']) await mkdir(folder.path(dir), { recursive: true })
    const names = [
      'z.ndjson',
      'a/1.ndjson',
      'b/2.ndjson',
      'b/deep/3.ndjson',
      'b/deep/er/4.ndjson',
      '.hidden/5.ndjson',
      'a/.6.ndjson',
      'a/x.txt',
    ]
    for (const name of names) await folder.write(name, `{"f":"${name}"}\n`)
    await symlink(folder.path('b'), folder.path('b/deep/loop'))
    const of = async (...patterns: string[]) => {
      const records = await read({ path: patterns.map((pattern) => `${folder.path('')}/${pattern}`) })
      return records.map(({ id }) => id.slice(folder.path('').length + 1, -':1'.length))
    }
    expect(await of('**/*.ndjson')).toEqual([
      'a/1.ndjson',
      'b/2.ndjson',
      'b/deep/3.ndjson',
      'b/deep/er/4.ndjson',
      'z.ndjson',
    ])
    expect(await of('*/?.ndjson')).toEqual(['a/1.ndjson', 'b/2.ndjson'])
    expect(await of('b/**/3.ndjson')).toEqual(['b/deep/3.ndjson'])
    expect(await of('z.ndjson', '*.ndjson', './z.ndjson', 'a/../z.ndjson')).toEqual(['z.ndjson'])
    expect(await of('b/**')).toEqual(['b/2.ndjson', 'b/deep/3.ndjson', 'b/deep/er/4.ndjson'])
    expect(await of('a/.*.ndjson')).toEqual(['a/.6.ndjson'])
  })

  it('a file whose name looks like a pattern is that file', async () => {
    const path = await folder.write('what?.ndjson', '{"a":1}')
    await folder.write('whatx.ndjson', '{"a":2}')
    expect(await texts({ path })).toEqual(['{"a":1}'])
  })

  it.each([
    ['missing.ndjson', /missing\.ndjson does not exist/, 'source'],
    ['*.ndjson', /no file matches .*\*\.ndjson/, 'source'],
    ['.', /is a folder, not a file/, 'source'],
    ['data.txt', /does not say what is in the file/, 'config'],
    ['data.txt.gz', /does not say what is in the file/, 'config'],
  ])('fails the check and the read of %s', async (name, message, code) => {
    await folder.write('data.txt', '')
    await folder.write('data.txt.gz', '')
    const config = { path: join(folder.path(''), name) }
    const signal = new AbortController().signal
    await expect(openFile(config).check?.(signal)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    })
    await expect(pagesOf(config)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('fails the check of a file that may not be read', async () => {
    const path = await folder.write('data.ndjson', '')
    await chmod(folder.path(''), 0o755)
    await chmod(path, 0)
    const root = process.getuid?.() === 0
    if (root) process.seteuid?.(65534)
    try {
      const checked = openFile({ path }).check?.(new AbortController().signal)
      await expect(checked).rejects.toMatchObject({ code: 'source', message: `cannot read ${path}: permission denied` })
    } finally {
      if (root) process.seteuid?.(0)
    }
  })

  it('a read that fails says which file', async () => {
    const path = folder.path('data.ndjson')
    await symlink('/proc/self/mem', path)
    expect(await failure({ path })).toMatchObject({
      code: 'source',
      message: expect.stringContaining(`cannot read ${path}`),
    })
  })

  it('a named pipe is read once, as it is written', async () => {
    const path = folder.path('pipe.ndjson')
    await promisify(execFile)('mkfifo', [path])
    const reading = texts({ path })
    const writer = await open(path, 'w')
    await writer.write('{"a":1}\n{"a"')
    await writer.write(':2}')
    await writer.close()
    expect(await reading).toEqual(['{"a":1}', '{"a":2}'])
  })

  it('a silent pipe does not keep an aborted read waiting', async () => {
    const path = folder.path('pipe.ndjson')
    await promisify(execFile)('mkfifo', [path])
    const controller = new AbortController()
    const reading = pagesOf({ path }, { signal: controller.signal })
    const writer = await open(path, 'w')
    await writer.write('{"a":1}\n')
    controller.abort()
    await reading
    await writer.close()
  })
})

describe('standard input', () => {
  it('gives each line as it comes, and lets the process end when it is told to stop', async () => {
    const script = await startScript(new URL('../../support/scripts/read-stdin.ts', import.meta.url))
    script.tell('{"a":1}')
    expect(await script.line()).toBe('stdin:1')
    script.tell('{"a":2}')
    expect(await script.line()).toBe('stdin:2')
    script.signal('SIGTERM')
    expect(await script.line()).toBe('done')
    expect(await script.ended).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('gzip', () => {
  it('is told by .gz or by compression, and several members are one file', async () => {
    const packed = Buffer.concat([gzipSync('{"a":1}\n{"a"'), gzipSync(':2}\n')])
    const expected = ['{"a":1}', '{"a":2}']
    expect(await texts({ path: await folder.write('data.ndjson.gz', packed) })).toEqual(expected)
    expect(await texts({ path: await folder.write('data.ndjson', packed), compression: 'gzip' })).toEqual(expected)
    const plain = await folder.write('plain.ndjson.gz', '{"a":1}\n')
    expect(await texts({ path: plain, compression: 'none' })).toEqual(['{"a":1}'])
  })

  it('that is cut off anywhere is an error', async () => {
    const packed = gzipSync('{"a":1}\n'.repeat(1000))
    for (const length of [5, 12, packed.length >> 1, packed.length - 9, packed.length - 1]) {
      const path = await folder.write('data.ndjson.gz', packed.subarray(0, length))
      expect(await failure({ path })).toMatchObject({ code: 'source', message: expect.stringContaining('is cut off') })
    }
  })

  it('that is not gzip is an error with the way out', async () => {
    const path = await folder.write('data.ndjson.gz', '{"a":1}\n')
    const failed = await failure({ path })
    expect(failed.message).toContain('is not valid gzip')
    expect(failed.hint).toContain('source.compression')
  })
})

describe('the declared streams', () => {
  const streamOf = (config: object) => source.streams(source.config.parse(config))[0]

  it('have any name, and are incremental where files only grow', () => {
    expect(streamOf({ path: 'a.ndjson' })).toMatchObject({ name: '*', incremental: true, resumable: true })
    expect(streamOf({ path: ['a.csv', 'logs/*'] })).toMatchObject({ incremental: true })
    expect(streamOf({ path: ['a.csv', 'b.json'] })).toMatchObject({ incremental: false, resumable: true })
    expect(streamOf({ path: 'a.ndjson.gz' })).toMatchObject({ incremental: false, resumable: true })
    expect(streamOf({ path: 'a', format: 'json' })).toMatchObject({ incremental: false })
    expect(streamOf({ path: '-' })).toMatchObject({ incremental: false, resumable: false })
  })

  it('do not mix standard input with files', () => {
    expect(() => source.config.parse({ path: ['-', 'a.csv'] })).toThrow(/standard input/)
  })
})
