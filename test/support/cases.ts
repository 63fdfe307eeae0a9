// Recorded command-line cases: a folder with `cmd`, its input files, and what it printed: stdout, stderr, code.
// Each runs in a fresh copy of its folder, with the built `bizon` on the PATH; one that asks for PG_URL in a new PostgreSQL
// database, where a role `visitor` may do nothing; one that asks for KAFKA_… or RABBIT_… with a broker, see kafka-case.ts and rabbitmq-case.ts.
// BIZON_RECORD=1 records anew.

import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { kafkaOfCase, type ServerOfCase } from './kafka-case.ts'
import { rabbitOfCase } from './rabbitmq-case.ts'
import { dropDatabase, freshDatabase, psql, type TestDatabase } from './services/postgres.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CASES = join(ROOT, 'test', 'cases')
const RECORDED = ['stdout', 'stderr', 'code'] as const

export type Printed = Record<(typeof RECORDED)[number], string>

export async function listCases(): Promise<readonly string[]> {
  const entries = await readdir(CASES, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort()
}

export async function recorded(name: string): Promise<Printed> {
  const read = (file: string): Promise<string> => readFile(join(CASES, name, file), 'utf8')
  return { stdout: await read('stdout'), stderr: await read('stderr'), code: await read('code') }
}

export async function record(name: string, printed: Printed): Promise<void> {
  for (const file of RECORDED) await writeFile(join(CASES, name, file), printed[file])
}

export async function runCase(name: string): Promise<Printed> {
  const scratch = await realpath(await mkdtemp(join(tmpdir(), 'bizon-case-')))
  const script = join(CASES, name, 'cmd')
  const database = (await asksFor('PG_URL', name)) ? await databaseOfCase() : undefined
  const server = await serverOfCase(name)
  try {
    const [work, bin] = [join(scratch, 'work'), join(scratch, 'bin')]
    await cp(join(CASES, name), work, { recursive: true })
    for (const file of [...RECORDED, 'cmd', 'messages.json']) await rm(join(work, file), { force: true })
    if (server) await writeFile(join(work, 'pipeline.yml'), await server.pipeline())
    await mkdir(bin)
    for (const [program, text] of Object.entries(server?.programs ?? {})) {
      await writeFile(join(bin, program), `#!${process.execPath}\n${text}`, { mode: 0o755 })
    }
    for (const program of ['bizon', 'bizon-extract', 'bizon-load']) {
      const built = join(ROOT, 'dist', 'bin', `${program}.js`)
      await writeFile(join(bin, program), `#!/bin/sh\nexec '${process.execPath}' '${built}' "$@"\n`, { mode: 0o755 })
    }
    const printed = await bash(script, work, bin, database && { PG_URL: database.url })
    const placed = (text: string): string => normalise(atDatabase(server?.placed(text) ?? text, database), work)
    return { stdout: placed(printed.stdout), stderr: placed(printed.stderr), code: printed.code }
  } finally {
    if (database) await dropDatabase(database)
    await rm(scratch, { recursive: true, force: true })
  }
}

async function serverOfCase(name: string): Promise<ServerOfCase | undefined> {
  if (await asksFor('KAFKA_', name)) return kafkaOfCase(join(CASES, name))
  return (await asksFor('RABBIT_', name)) ? rabbitOfCase(join(CASES, name)) : undefined
}

async function asksFor(variable: string, name: string): Promise<boolean> {
  const read = (file: string): Promise<string> => readFile(join(CASES, name, file), 'utf8').catch(() => '')
  return ((await read('cmd')) + (await read('pipeline.yml'))).includes(variable)
}

async function databaseOfCase(): Promise<TestDatabase> {
  const database = await freshDatabase()
  const asks = `DO $$ BEGIN CREATE ROLE visitor LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$`
  await psql(database.url, `${asks}; REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
  return database
}

/** Where the database is says nothing. */
function atDatabase(text: string, database: TestDatabase | undefined): string {
  if (!database) return text
  return text.replaceAll(new URL(database.url).host, '<server>').replaceAll(database.name, '<database>')
}

function bash(script: string, cwd: string, bin: string, more: NodeJS.ProcessEnv = {}): Promise<Printed> {
  const env = { PATH: `${bin}:${process.env.PATH}`, HOME: cwd, LANG: 'C.UTF-8', TZ: 'UTC', NO_COLOR: '1', ...more }
  return new Promise((resolve) => {
    execFile('bash', [script], { cwd, env, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      resolve({ stdout, stderr, code: `${error === null ? 0 : (error.code ?? error.signal)}\n` })
    })
  })
}

const VARYING: readonly (readonly [RegExp, string])[] = [
  [/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?/g, '<time>'],
  [/^\d\d:\d\d:\d\d (?=\w+ )/gm, '<time> '],
  [/\b[0-9a-f]{32}\b/g, '<id>'],
  [/\bpid \d+/g, 'pid <pid>'],
  [/(?<=\b(?:run|part)-)\d{13,}/g, '<epoch>'],
  // Ids are packed in more or fewer bytes.
  [/(?<=\.parquet was changed .*)\d+(?= bytes| were written)/g, '<some>'],
  [/\bin (\d+ h )?(\d+ min )?(\d+(\.\d+)? s)?(?=,)/g, 'in <seconds>'],
  [/[\d,]+ records?\/s/g, '<rate> records/s'],
  [/"((?:\w+_)?seconds|process|source_process)":\d+(\.\d+)?/g, '"$1":<number>'],
  [/"slower":"\w+"/g, '"slower":"<side>"'],
]

/** Takes out what no two runs have in common, and nothing else. */
export function normalise(text: string, work: string): string {
  const placed = text.replaceAll(work, '<work>').replaceAll(` on ${hostname()}`, ' on <host>')
  return VARYING.reduce((clean, [pattern, name]) => clean.replace(pattern, name), placed)
}
