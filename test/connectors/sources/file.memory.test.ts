// What is held in memory is bounded, however small the records are: each takes more than its bytes.

import { execFile } from 'node:child_process'
import { appendFile, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { Pool } from '../../../connectors/sources/file/pool.ts'
import { bytesOf } from '../../../lib/checkpoint.ts'
import { textOf } from '../../../lib/record.ts'
import { failure, pagesOf, seenIn, useFolder } from '../../support/file-source.ts'
import { CHECKOUT } from '../../support/sandbox.ts'

const folder = useFolder()
const MIB = 1024 * 1024

describe('a page', () => {
  it.each([
    ['a.ndjson', '{}\n'.repeat(200_000), '{}'],
    ['a.json', `[${'{},'.repeat(200_000)}{}]`, '{}'],
    ['a.csv', `n\n${'1\n'.repeat(200_000)}`, '{"n":"1"}'],
  ])('of %s ends after so many records, also in the middle of a block', async (name, content, text) => {
    const path = await folder.write(name, content)
    const pages = await pagesOf({ path, page_bytes: MIB })
    expect(seenIn(pages).length).toBeGreaterThanOrEqual(200_000)
    for (const page of pages) {
      expect(bytesOf(page)).toBeLessThan(2 * MIB)
      expect(page.bytes).toBe(page.records.length * text.length)
      expect(page.records.every(({ data }) => textOf(data) === text)).toBe(true)
    }
  })

  it('in the middle of a block has a position that leads exactly behind it', async () => {
    for (const [name, content] of [
      ['a.ndjson', (n: number) => `{"n":"${n}"}\n`],
      ['a.csv', (n: number) => `${n === 0 ? 'n\n' : ''}${n}\n`],
      ['a.json', (n: number) => `${n === 0 ? '[' : ','}{"n":"${n}"}${n === 499 ? ']' : ''}`],
    ] as const) {
      const path = await folder.write(name, Array.from({ length: 500 }, (_, n) => content(n)).join(''))
      const pages = await pagesOf({ path, page_bytes: 10_000 })
      expect(pages.length).toBeGreaterThan(5)
      const all = seenIn(pages)
      expect(all).toHaveLength(500)
      let seen = 0
      for (const page of pages.slice(0, -1)) {
        seen += page.records.length
        const rest = await pagesOf({ path, page_bytes: 10_000 }, { from: { position: page.next ?? {} } })
        expect(seenIn(rest)).toEqual(all.slice(seen))
      }
    }
  })
})

describe('dead letters', () => {
  it('are written once they take a megabyte, not only when the page ends', async () => {
    // In the one block that there is, what is broken ends the run behind them: only what was written by then stays.
    const path = await folder.write('a.json', `[${'1,'.repeat(20_000)}x`)
    const config = { path, on_invalid: 'dead_letter', dead_letter_path: folder.path('dead.ndjson') }
    expect((await failure(config)).message).toContain('unexpected "x"')
    const { size } = await stat(config.dead_letter_path)
    expect(size).toBeGreaterThan(MIB)
    await folder.write('a.json', `[${'1,'.repeat(20_000)}1]`)
    await rm(config.dead_letter_path)
    expect(await pagesOf(config)).toHaveLength(1)
    expect((await readFile(config.dead_letter_path, 'utf8')).split('\n')).toHaveLength(20_002)
  })
})

describe('the pool of blocks', () => {
  it('lends a block again once its page is released', () => {
    const pool = new Pool(1000)
    const block = pool.take(1000)
    const first = pool.seal()
    const second = pool.seal()
    second()
    expect(pool.take(1000)).not.toBe(block)
    first()
    expect(pool.take(1000)).toBe(block)
  })

  it('does not wait for a page in the making that refers to nothing of it, and takes nothing back twice', () => {
    const pool = new Pool(1000)
    const block = pool.take(1000)
    pool.giveBack(block.subarray(0, 700))
    expect(pool.take(1000)).toBe(block)
    const page = pool.seal()
    page()
    page()
    expect(pool.take(1000)).toBe(block)
    expect(pool.take(1000)).not.toBe(block)
  })
})

const LINES = 2_000_000
const REPORT = `import { writeFileSync } from 'node:fs'
process.on('exit', () => writeFileSync(process.env.PEAK_FILE, String(process.resourceUsage().maxRSS)))`

describe('a run', () => {
  it(`over ${LINES} records of two bytes stays below 200 MB`, async () => {
    const path = folder.path('in.ndjson')
    for (let written = 0; written < LINES; written += 100_000) await appendFile(path, '{}\n'.repeat(100_000))
    const output = folder.path('out')
    await writeFile(
      folder.path('pipeline.yml'),
      JSON.stringify({
        name: 'tiny',
        source: { name: 'file', stream: 'tiny', path },
        destination: { name: 'file', config: { destination_id: output, metadata: 'none' } },
      }),
    )
    await writeFile(folder.path('report.mjs'), REPORT)
    const args = ['--import', folder.path('report.mjs'), `${CHECKOUT}/dist/bin/bizon.js`, 'run', 'pipeline.yml', '-q']
    const env = { ...process.env, PEAK_FILE: folder.path('peak') }
    await promisify(execFile)(process.execPath, args, { cwd: folder.path(''), env })
    expect(await readFile(`${output}.json`)).toHaveLength(LINES * 3)
    expect(Number(await readFile(folder.path('peak'), 'utf8')) / 1000).toBeLessThan(200)
  })
})
