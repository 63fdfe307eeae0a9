import { mkdir, symlink } from 'node:fs/promises'
import { relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openFile, texts, useFolder } from '../../support/file-source.ts'

const folder = useFolder()
const reads = (path: string | string[], target: string) =>
  openFile({ path, format: 'ndjson' }).reads?.(target) ?? 'cannot tell'

describe('whether the file source would read a path', () => {
  it.each([
    ['in.ndjson', 'in.ndjson', true],
    ['in.ndjson', 'x/../in.ndjson', true],
    ['in.ndjson', 'in.ndjson.json', false],
    ['*.json', 'out.json', true],
    ['*.json', '.out.json', false],
    ['*.json', 'x/out.json', false],
    ['x/*', 'x/new.json', true],
    ['x/./*', 'x/new.json', true],
    ['x/*', 'x', false],
    ['x/*', 'x/y/new.json', false],
    ['*/new.json', 'x/new.json', true],
    ['**/*.json', 'new.json', true],
    ['**/*.json', 'x/y/new.json', true],
    ['**/*.json', 'x/.y/new.json', false],
    ['**', 'x/y/new.json', true],
    ['x?.json', 'x1.json', true],
    ['x?.json', 'x.json', false],
  ])('%s and %s: %s', (path, target, expected) => {
    expect(reads(folder.path(path), folder.path(target))).toBe(expected)
    expect(reads(relative('', folder.path(path)), folder.path(target))).toBe(expected)
    expect(reads([folder.path('other.csv'), folder.path(path)], relative('', folder.path(target)))).toBe(expected)
  })

  it('says so of every file that it reads', async () => {
    await mkdir(folder.path('x/y'), { recursive: true })
    for (const name of ['a.json', 'x/a.json', 'x/y/a.json']) await folder.write(name, `{"n":"${name}"}\n`)
    for (const pattern of ['*.json', '**/*.json', '*/a*', 'x/**', '**/y/*']) {
      const found = await texts({ path: folder.path(pattern), format: 'ndjson' })
      const names = found.map((text) => JSON.parse(text).n)
      expect(names.length).toBeGreaterThan(0)
      for (const name of ['a.json', 'x/a.json', 'x/y/a.json']) {
        expect(reads(folder.path(pattern), folder.path(name))).toBe(names.includes(name))
      }
    }
  })

  it('follows links, on either side', async () => {
    await mkdir(folder.path('real'))
    await symlink(folder.path('real'), folder.path('link'))
    await folder.write('real/a.json', '{}')
    await symlink(folder.path('real/a.json'), folder.path('a.json'))
    expect(reads(folder.path('link/*'), folder.path('real/new.json'))).toBe(true)
    expect(reads(folder.path('real/*'), folder.path('link/new.json'))).toBe(true)
    expect(reads(folder.path('a.json'), folder.path('real/a.json'))).toBe(true)
    expect(reads(folder.path('real/a.json'), folder.path('a.json'))).toBe(true)
    expect(reads(folder.path('real/new.json'), folder.path('link/new.json'))).toBe(true)
    expect(reads(folder.path('a.json'), folder.path('real/b.json'))).toBe(false)
  })

  it('is never so for standard input', () => {
    expect(reads('-', '-')).toBe(false)
  })
})
