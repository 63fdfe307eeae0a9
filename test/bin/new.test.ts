// What `bizon new` writes works at once, and its tests see it when it is broken.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHECKOUT, type Finished, QUICK_NPX, runIn, Sandbox } from '../support/sandbox.ts'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await Sandbox.create()
  const made = 'npx bizon new source orders\nnpx bizon new destination shelf'
  expect(await run(`${made}\n${made.replace(/orders|shelf/g, 'typed_$& --typescript')}`)).toMatchObject({
    code: 0,
  })
})
afterAll(() => sandbox.remove())

const run = (script: string): Promise<Finished> => sandbox.run(`${QUICK_NPX}\n${script}`)
const text = (name: string): Promise<string> => readFile(sandbox.path(name), 'utf8')

test('where bizon is not installed, it is told how to install it', async () => {
  const elsewhere = await mkdtemp(join(tmpdir(), 'bizon-elsewhere-'))
  try {
    const { code, stdout, stderr } = await runIn(elsewhere, `node ${join(CHECKOUT, 'dist/bin/bizon.js')} new source x`)
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: 'They import bizon, which is not installed for this folder.\n',
    })
    expect(stdout).toBe(`Wrote x.mjs, x.test.mjs, x.yml.\nTry: npm install ${CHECKOUT}\n`)
  } finally {
    await rm(elsewhere, { recursive: true, force: true })
  }
})

describe('a new source', () => {
  test('passes its test, and runs: everything once, then only what is new', async () => {
    const finished = await run(
      'node --test orders.test.mjs\nnpx bizon check orders.yml\nnpx bizon run orders.yml\nnpx bizon run orders.yml',
    )
    expect(finished, finished.stdout + finished.stderr).toMatchObject({ code: 0 })
    expect((await text('orders.json')).match(/"id":\d+/g)).toEqual([101, 102, 103, 104, 105].map((id) => `"id":${id}`))
  })

  test.each([
    [
      'resumes one record early',
      'next: next === null ? null : { after: next, updated_after }',
      'next: next === null ? null : { after: String(Number(next) - 1), updated_after }',
    ],
    ['forgets its cursor', "let after = String(position?.after ?? '')", "let after = ''"],
    ['says its end too early', 'if (next === null) return', 'return'],
    ['ignores the watermark', "?? since?.value ?? ''", "?? ''"],
    ['never asks the API', 'if (!api) return sample(query)', 'return sample(query)'],
  ])('that %s fails its test', async (_title, whole, broken) => {
    await run('mkdir -p twin && cp orders.test.mjs twin/')
    const source = await text('orders.mjs')
    expect(source).toContain(whole)
    await writeFile(sandbox.path('twin/orders.mjs'), source.replace(whole, broken))
    const finished = await run('node --test twin/orders.test.mjs')
    expect(finished.code).toBe(1)
  })
})

describe('a new destination', () => {
  test('passes its test, and runs', async () => {
    const finished = await run('node --test shelf.test.mjs\nnpx bizon run shelf.yml\ncat shelf/*.ndjson')
    expect(finished, finished.stderr).toMatchObject({ code: 0 })
    for (const creature of ['bizon', 'croco', 'froggy', 'turtle', 'poulpo']) {
      expect(finished.stdout).toContain(`"name":"${creature}"`)
    }
  })

  test.each([
    ['forgets its rows on resume', 'resumes ? { ...found, epoch', 'resumes ? { ...found, files: [], epoch'],
    ['forgets where it stands', 'return staged.checkpoint', 'return undefined'],
    ['adds twice', 'unknown ? before.base : [', '['],
    ['replaces what it should add to', 'run.complete ? []', '!run.complete ? []'],
    [
      'lets an older process write',
      'found.epoch > run.epoch) throw fenced()\n        const file',
      'false) throw fenced()\n        const file',
    ],
    ['keeps no copy', "lines.push('{", "lines.push('buffer' in data ? data : '{"],
  ])('that %s fails its test', async (_title, whole, broken) => {
    await run('mkdir -p twin && cp shelf.test.mjs twin/')
    const destination = await text('shelf.mjs')
    expect(destination).toContain(whole)
    await writeFile(sandbox.path('twin/shelf.mjs'), destination.replace(whole, broken))
    expect((await run('node --test twin/shelf.test.mjs')).code).toBe(1)
  })
})

describe('in TypeScript', () => {
  test('all of it, and the types of the package, pass the strict checks', async () => {
    const options = '--strict --noEmit --module nodenext --target es2023 --types node --skipLibCheck false'
    const files = 'typed_orders.ts typed_orders.test.ts typed_shelf.ts typed_shelf.test.ts'
    const finished = await run(`npx tsc ${options} --allowImportingTsExtensions ${files}`)
    expect(finished.stdout).toBe('')
    expect(finished.code).toBe(0)
  })

  test('it runs where Node runs TypeScript; elsewhere the run says what is needed', async () => {
    const { code, stderr } = await run('npx bizon run typed_orders.yml')
    const runs = Boolean((process.features as { typescript?: unknown }).typescript)
    if (runs) expect(code).toBe(0)
    else expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('does not run TypeScript') })
  })
})
