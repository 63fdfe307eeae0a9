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
import { type KafkaBench, openKafka } from './kafka.ts'
import { type Measured, measure } from './measure.ts'
import { type Bench, openPostgres } from './postgres.ts'

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
  // It takes its time.
  const postgres = /^$|postgres/.test(values.only) ? await openPostgres() : undefined
  const kafka = /^$|kafka/.test(values.only) ? await openKafka() : undefined
  const apis = await Promise.all([0, 5].map((latency) => startApi(script, input.ndjson, latency)))
  try {
    await kafka?.fill(input.ndjson)
    await table({ input, few, file, expected, api: { script, ports: apis.map(({ port }) => port) }, postgres, kafka })
  } finally {
    for (const { child } of apis) child.kill()
    await kafka?.remove()
    await postgres?.remove()
  }
}

interface Setting extends Pick<Places, 'input' | 'few' | 'file' | 'api'> {
  /** SHA-256 of the NDJSON. */
  readonly expected: string
  readonly postgres: Bench | undefined
  readonly kafka: KafkaBench | undefined
}

/** A server in a process of its own, so that it does not share a core's time with what is measured. */
async function startApi(script: string, path: string, latency: number): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [script, path, String(latency)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [port] = await once(child.stdout, 'data')
  return { child, port: Number(port) }
}

async function table({ input, few, file, expected, api, postgres, kafka }: Setting): Promise<void> {
  const chosen = commands({
    input,
    few,
    folder,
    records,
    api,
    postgres: postgres?.url,
    kafka: { script: join(import.meta.dirname, 'kafka-loop.mjs'), brokers: kafka?.brokers },
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
  print(['', 'seconds', '× cat', '× first', 'records/s', 'peak MB', 'CPU s', 'server s', 'output'])

  // So that the first command does not pay for the disk.
  for await (const _ of createReadStream(input.ndjson));
  let cat: number | undefined
  for (const group of groupsOf(chosen)) {
    const runs = await inTurns(group, postgres?.cpuSeconds)
    const [first] = group
    for (const candidate of group) {
      const { name, moves, output } = candidate
      const measured = runs.get(candidate)
      if (measured instanceof Error || measured === undefined) {
        print([name, 'failed', '', '', '', '', '', '', ''])
        console.log(`  ${measured?.message}`)
        continue
      }
      const of = (what: (run: Run) => number | undefined): number | undefined => median(measured.map(what))
      const seconds = of((run) => run.seconds) as number
      cat ??= seconds
      const others = first && runs.get(first)
      const ratios = Array.isArray(others) ? measured.map((run, at) => run.seconds / (others[at]?.seconds ?? NaN)) : []
      print([
        name,
        seconds.toFixed(seconds < 1 ? 3 : 2),
        moves ? (seconds / cat).toFixed(1) : '',
        group.length > 1 ? (median(ratios)?.toFixed(2) ?? '?') : '',
        moves ? Math.round(records / seconds).toLocaleString('en') : '',
        shown(
          of((run) => run.peakBytes),
          megabytes,
        ),
        shown(of((run) => run.cpuSeconds)),
        name.includes('postgres') ? shown(of((run) => run.serverSeconds)) : '',
        await verdict(candidate, expected),
      ])
      if (output !== undefined) await rm(output, { force: true })
    }
  }
}

interface Run extends Measured {
  /** Processor time of the database server meanwhile. */
  readonly serverSeconds: number | undefined
}

/** Candidates of one group are one, others each by itself. */
function groupsOf(candidates: readonly Candidate[]): Candidate[][] {
  const groups: Candidate[][] = []
  for (const candidate of candidates) {
    const last = groups.at(-1)
    if (last && candidate.group !== undefined && last[0]?.group === candidate.group) last.push(candidate)
    else groups.push([candidate])
  }
  return groups
}

/** One run of each, then the next one of each, so that what else the machine does meets all of them. */
async function inTurns(
  group: readonly Candidate[],
  serverSeconds: () => number | undefined = () => undefined,
): Promise<Map<Candidate, Run[] | Error>> {
  const runs = new Map<Candidate, Run[] | Error>(group.map((candidate) => [candidate, []]))
  const turns = Math.max(...group.map(({ times = 1 }) => times))
  for (let turn = 0; turn < turns; turn++) {
    for (const candidate of group) {
      const { argv, prints, output, input, before } = candidate
      const done = runs.get(candidate)
      if (!Array.isArray(done)) continue
      try {
        before?.()
        const since = serverSeconds()
        const measured = await measure({
          argv,
          cwd: folder,
          ...(prints && output !== undefined && { output }),
          ...(input !== undefined && { input }),
        })
        const until = serverSeconds()
        done.push({
          ...measured,
          serverSeconds: until === undefined || since === undefined ? undefined : until - since,
        })
      } catch (error) {
        runs.set(candidate, error instanceof Error ? error : new Error(String(error)))
      }
    }
  }
  return runs
}

function median(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined).sort((a, b) => a - b)
  return known[Math.floor(known.length / 2)]
}

function shown(value: number | undefined, how = (one: number) => one.toFixed(2)): string {
  return value === undefined ? '?' : how(value)
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
  console.log(`${name.padEnd(36)}${cells.map((cell) => cell.padStart(10)).join('')}`)
}
