// The bench: one table of what bizon, plain programs and its peers need for the same records.
//   npm run bench -- [--records N] [--only TEXT]
// It prints what it measured and asserts nothing about time.

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, writeFileSync } from 'node:fs'
import { mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Candidate, commands, type Places } from './commands.ts'
import { generate, LINE_BYTES } from './generate.ts'
import { type Measured, measure } from './measure.ts'

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    only: { type: 'string', default: '' },
  },
})
const records = Number(values.records)
if (!Number.isSafeInteger(records) || records < 1000) throw new Error('--records: a whole number from 1000')

const folder = await mkdtemp(join(tmpdir(), 'bizon-bench-'))
try {
  await bench()
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function bench(): Promise<void> {
  const input = { ndjson: join(folder, 'in.ndjson'), csv: join(folder, 'in.csv') }
  const expected = await generate(input, records)
  const few = join(folder, 'few.ndjson')
  await writeFile(few, await head(input.ndjson, 1000 * LINE_BYTES))

  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const script = join(import.meta.dirname, 'api.mjs')
  const apis = await Promise.all([0, 5].map((latency) => startApi(script, input.ndjson, latency)))
  try {
    await table({ input, few, file, expected, api: { script, ports: apis.map(({ port }) => port) } })
  } finally {
    for (const { child } of apis) child.kill()
  }
}

interface Setting extends Pick<Places, 'input' | 'few' | 'file' | 'api'> {
  /** SHA-256 of the NDJSON. */
  readonly expected: string
}

/** A server in a process of its own, so that it does not share a core's time with what is measured. */
async function startApi(script: string, path: string, latency: number): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [script, path, String(latency)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [port] = await once(child.stdout, 'data')
  return { child, port: Number(port) }
}

async function table({ input, few, file, expected, api }: Setting): Promise<void> {
  const chosen = commands({
    input,
    few,
    folder,
    records,
    api,
    bizon: resolve('dist/bin/bizon.js'),
    check: join(import.meta.dirname, 'check.mjs'),
    file,
    pipeline: (name, from, metadata) =>
      file(
        `${name}.yml`,
        JSON.stringify({
          name,
          source: { name: 'file', stream: name, path: from },
          destination: { name: 'file', config: { destination_id: join(folder, name), metadata } },
        }),
      ),
  }).filter(({ name }) => name === 'cat' || name.includes(values.only))

  const size = (await stat(input.ndjson)).size
  console.log(`${cpus().length} cores (${cpus()[0]?.model.trim()}), Node ${process.versions.node}`)
  console.log(
    `${records} records of ${LINE_BYTES} bytes: ${megabytes(size)} MB NDJSON, ${megabytes((await stat(input.csv)).size)} MB CSV\n`,
  )
  print(['', 'seconds', '× cat', 'records/s', 'peak MB', 'output'])

  // So that the first command does not pay for the disk.
  for await (const _ of createReadStream(input.ndjson));
  let cat: number | undefined
  for (const candidate of chosen) {
    try {
      const { seconds, peakBytes } = await median(candidate)
      cat ??= seconds
      print([
        candidate.name,
        seconds.toFixed(seconds < 1 ? 3 : 2),
        candidate.moves ? (seconds / cat).toFixed(1) : '',
        candidate.moves ? Math.round(records / seconds).toLocaleString('en') : '',
        peakBytes === undefined ? '?' : megabytes(peakBytes),
        await verdict(candidate, expected),
      ])
    } catch (error) {
      print([candidate.name, 'failed', '', '', '', ''])
      console.log(`  ${error instanceof Error ? error.message : error}`)
    }
    if (candidate.output !== undefined) await rm(candidate.output, { force: true })
  }
}

async function median(candidate: Candidate): Promise<Measured> {
  const runs: Measured[] = []
  for (let i = 0; i < (candidate.times ?? 1); i++) {
    const { argv, prints, output, input } = candidate
    runs.push(
      await measure({
        argv,
        cwd: folder,
        ...(prints && output !== undefined && { output }),
        ...(input !== undefined && { input }),
      }),
    )
  }
  runs.sort((a, b) => a.seconds - b.seconds)
  return runs[Math.floor(runs.length / 2)] as Measured
}

/** Whether the records came out as they went in, to the byte, where that is what the command is for. */
async function verdict({ output, moves, reshapes }: Candidate, expected: string): Promise<string> {
  if (output === undefined || moves !== 'ndjson' || reshapes) return ''
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(output)) hash.update(chunk as Buffer)
  } catch {
    return 'elsewhere'
  }
  return hash.digest('hex') === expected ? 'same bytes' : 'other bytes'
}

async function head(path: string, bytes: number): Promise<Buffer> {
  const handle = await open(path)
  try {
    return (await handle.read(Buffer.alloc(bytes), 0, bytes, 0)).buffer
  } finally {
    await handle.close()
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0)
}

function print([name = '', ...cells]: readonly string[]): void {
  console.log(`${name.padEnd(32)}${cells.map((cell) => cell.padStart(12)).join('')}`)
}
