// What a test does by night alone, it has to do some night.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..')

test('npm run test:nightly runs every file that does more by night', async () => {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const named: string[] = scripts['test:nightly'].split('vitest.config.ts ')[1].split(' ')
  const files = (await readdir(join(ROOT, 'test'), { recursive: true })).filter((file) => file.endsWith('.test.ts'))
  const left: string[] = []
  for (const file of files) {
    const text = await readFile(join(ROOT, 'test', file), 'utf8')
    const isNightly = /\bNIGHTLY\b|\bBIZON_NIGHTLY\b|\bfewOf\b/.test(text) && file !== 'nightly.test.ts'
    if (isNightly && !named.some((part) => `test/${file}`.startsWith(part))) left.push(file)
  }
  expect(left).toEqual([])
})
