// CSV and Parquet as other programs read them, for the oracle: Python's csv module and DuckDB.

import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { duckdb } from '../support/duckdb.ts'
import type { Sidecar } from './oracle.ts'
import type { Workspace } from './workspace.ts'

const COLUMN = `import csv, sys
sys.stdout.reconfigure(newline="\\n")
csv.field_size_limit(1 << 30)
with open(sys.argv[1], newline="", encoding="utf-8") as file:
    for row in csv.DictReader(file, strict=True):
        if None in row or None in row.values(): sys.exit("a row has another number of cells than the header")
        print(row[sys.argv[2]])`

/** The cells of a column, a line each. */
export async function csvColumn(place: Workspace, path: string, name: string): Promise<string> {
  const { code, stdout, stderr } = await place.execute(['python3', '-c', COLUMN, path, name])
  if (code !== 0) throw new Error(`${path} is no CSV: ${stderr}`)
  return stdout
}

/** The same of a folder of Parquet files; undefined when there is none. */
export async function partColumn(folder: string, name: string): Promise<string | undefined> {
  const current = join(folder, 'current')
  if (!existsSync(current)) return undefined
  const rows = await duckdb(`SELECT ${name} AS text FROM read_parquet('${current}/*.parquet')`)
  return rows.map(({ text }) => `${text}\n`).join('')
}

/** Until a run is published, its last part has the checkpoint. */
export async function heldByParts(place: Workspace, path: string, sidecar: Sidecar): Promise<Sidecar> {
  const held = sidecar as Sidecar & Partial<PartsHeld>
  if (held.number === undefined || held.phase !== 'staging') return held
  const target = basename(path).replace(/^\.(.*)\.parquet\.state\.json$/, '$1')
  const base = held.mode === 'stream' ? held.published?.[target]?.folder : undefined
  const folder = join(place.folder, dirname(path), target, base ?? `.run-${held.number}`)
  const own = new RegExp(`^part-${held.number}-\\d+\\.parquet$`)
  const parts = existsSync(folder) ? readdirSync(folder).filter((name) => own.test(name)) : []
  const last = parts.sort().at(-1)
  if (last === undefined) return { ...held, checkpoint: null }
  const [row] = await duckdb(
    `SELECT decode(value) AS footer FROM parquet_kv_metadata('${join(folder, last)}') WHERE decode(key) = 'bizon'`,
  )
  return { ...held, checkpoint: JSON.parse(String(row?.footer)).checkpoint }
}

interface PartsHeld {
  readonly number: number
  readonly mode: string
  readonly published: { readonly [target: string]: { readonly folder: string } }
}

/** Whether a file has a place in the folder of a target once nothing is half done. */
export function isPart(folder: string, name: string): boolean {
  return name.startsWith(`${folder}/.run-`) && /\/(?:part-\d+-\d+\.parquet|_manifest\.json)$/.test(name)
}
