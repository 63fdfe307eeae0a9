// A pipeline written as an object is checked by the compiler, key by key; tsc itself is asked.

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CHECKOUT } from '../../support/sandbox.ts'

const GOOD = `const config: PipelineInput = {
  name: 'tiny',
  source: { name: 'gbif', stream: 'occurrence', page_limit: 10 },
  destination: { name: 'file', config: { destination_id: 'out' } },
}
extract(config)
`
const BAD = [
  ["name: 'gbif'", "name: 'gbiff'"],
  ['page_limit: 10', "page_limit: 'many'"],
  ['page_limit: 10', 'page_limitt: 10'],
  ["stream: 'occurrence', ", ''],
  ["name: 'file'", "name: 'fil'"],
  ["destination_id: 'out'", 'destination_id: 7'],
] as const

let folder: string
let output: string
beforeAll(async () => {
  await mkdir(join(CHECKOUT, 'node_modules/.cache'), { recursive: true })
  folder = await mkdtemp(join(CHECKOUT, 'node_modules/.cache/bizon-types-'))
  const head = `import { extract, type PipelineInput } from '../../../lib/index.ts'\n`
  await writeFile(join(folder, 'good.ts'), head + GOOD)
  for (const [i, [right, wrong]] of BAD.entries()) {
    expect(GOOD).toContain(right)
    await writeFile(join(folder, `bad${i}.ts`), head + GOOD.replace(right, wrong))
  }
  const extended = { extends: '../../../tsconfig.json', include: ['*.ts'], exclude: [] }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(extended))
  output = await new Promise((done) => {
    const args = [join(CHECKOUT, 'node_modules/typescript/bin/tsc'), '-p', folder, '--pretty', 'false']
    execFile(process.execPath, args, { cwd: folder }, (_error, stdout, stderr) => done(stdout + stderr))
  })
}, 300_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

test('a right pipeline is accepted', () => {
  expect(output).not.toContain('good.ts')
  expect(output).not.toMatch(/TS(5\d{3}|18\d{3})/)
})

test.each(BAD.map(([right, wrong], i) => ({ i, right, wrong })))('"$wrong" for "$right" is refused', ({ i }) => {
  expect(output).toMatch(new RegExp(`bad${i}\\.ts\\(\\d+,\\d+\\): error TS`))
})
