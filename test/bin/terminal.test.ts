import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { colorWanted } from '../../bin/terminal.ts'

const BIZON = fileURLToPath(new URL('../../dist/bin/bizon.js', import.meta.url))
const GREEN = '\u001b[32m'
const PIPELINE = `
name: demo
source: {name: dummy, stream: generator, records: 8, page_size: 1, sleep: 0.1}
destination: {name: file, config: {destination_id: records, buffer_size: 0}}
`
const CLEAR = '\r\u001b[2K'

test.for([
  ['a terminal', true, {}, true],
  ['a pipe', false, {}, false],
  ['a terminal that cannot', true, { TERM: 'dumb' }, false],
  ['a terminal, with NO_COLOR', true, { NO_COLOR: '1' }, false],
  ['a terminal, with an empty NO_COLOR', true, { NO_COLOR: '' }, true],
  ['a pipe, with FORCE_COLOR', false, { FORCE_COLOR: '1' }, true],
  ['a pipe, with an empty FORCE_COLOR', false, { FORCE_COLOR: '' }, true],
  ['a terminal, with FORCE_COLOR=0', true, { FORCE_COLOR: '0' }, false],
  ['a terminal, with NO_COLOR and FORCE_COLOR', true, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
] as const)('colours on %s', ([, isTTY, env, wanted]) => {
  expect(colorWanted(isTTY, env)).toBe(wanted)
})

describe('on a real terminal', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bizon-terminal-'))
    await writeFile(join(folder, 'pipeline.yml'), PIPELINE)
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  /** What a person would see: both streams, on a pseudo-terminal. */
  function onTerminal(command: string, env: Record<string, string> = {}): Promise<string> {
    const { PATH } = process.env
    return new Promise((resolve, reject) => {
      execFile(
        'script',
        ['-qec', `'${process.execPath}' '${BIZON}' ${command}`, '/dev/null'],
        { cwd: folder, env: { PATH, TERM: 'xterm', HOME: folder, SHELL: '/bin/sh', ...env } },
        (error, stdout) =>
          error ? reject(new Error(stdout, { cause: error })) : resolve(stdout.replaceAll('\r\n', '\n')),
      )
    })
  }

  test('a run shows one live line and takes it away before the summary', async () => {
    const seen = await onTerminal('run pipeline.yml')
    expect(seen).toMatch(/\d of 8 records, \d+\/s, [\d.]+ k?B, last checkpoint [\d.]+ s ago, about [\d.]+ s left/)
    const [work = '', result] = seen.split(`${GREEN}Pipeline finished successfully.`)
    expect(result).toBeDefined()
    expect(work.endsWith(CLEAR)).toBe(true)
  })

  test('a log line takes the place of the live line, which is drawn again below it', async () => {
    await writeFile(
      join(folder, 'pipeline.yml'),
      PIPELINE.replace(/destination:.*/, 'destination: {name: logger, config: {}}'),
    )
    const seen = await onTerminal('run pipeline.yml', { NO_COLOR: '1' })
    const [live, log] = [
      String.raw`\d of 8 records[^\r\n]*`,
      String.raw`\d\d:\d\d:\d\d info \[full_refresh\] \{[^\r\n]*\}\n`,
    ]
    expect(seen).toMatch(new RegExp(`${CLEAR}${live}${CLEAR}${log}${CLEAR}${live}`.replaceAll('[2K', String.raw`\[2K`)))
    expect(seen).not.toMatch(new RegExp(`${live} info `))
  })

  test('a quiet run shows nothing', async () => {
    expect(await onTerminal('run pipeline.yml --quiet')).toBe('')
  })

  test('NO_COLOR takes the colours, not the words', async () => {
    const seen = await onTerminal('run pipeline.yml', { NO_COLOR: '1' })
    expect(seen).toContain('Pipeline finished successfully.')
    expect(seen).not.toContain('\u001b[3')
  })
})
