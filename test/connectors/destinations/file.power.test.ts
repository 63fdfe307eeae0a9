import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PartDisk, realPartDisk } from '../../../connectors/destinations/file/parquet/disk.ts'
import { ParquetDestination } from '../../../connectors/destinations/file/parquet.ts'
import { FileDestination } from '../../../connectors/destinations/file.ts'
import { NIGHTLY } from '../../crash/workspace.ts'
import { withFiles } from '../../support/disk.ts'
import { duckdb } from '../../support/duckdb.ts'
import { idsOf } from '../../support/load.ts'
import { CASES, cutEverywhere, type Files, giveUp, OLD } from '../../support/power-cut.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'bizon-power-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

/** An append that fails and cannot be taken back either. */
const givingUpAt = (main: string): Files['givingUp'] => ({
  disk: withFiles(realPartDisk, (file, path) => (path.endsWith(main) ? { sync: giveUp, truncate: giveUp } : file)),
  seen: [...idsOf(OLD), ...idsOf(OLD)],
})

const FORMATS: { readonly [format: string]: Files } = {
  json: {
    options: { format: 'json', metadata: 'none' },
    create: (options, how, disk) => new FileDestination(options, how, disk),
    async read(path) {
      const lines = (await readFile(`${path}.json`, 'utf8')).split('\n')
      return lines.slice(0, -1).map((line) => JSON.parse(line).id)
    },
    givingUp: givingUpAt('main.json'),
  },
  csv: {
    options: { format: 'csv', metadata: 'bizon' },
    create: (options, how, disk) => new FileDestination(options, how, disk),
    async read(path) {
      const rows = parse<Record<string, string>>(await readFile(`${path}.csv`), { columns: true })
      return rows.map(({ source_record_id: id = '' }) => id)
    },
    givingUp: givingUpAt('main.csv'),
  },
  parquet: {
    options: { format: 'parquet', metadata: 'bizon' },
    create: (options, how, disk) => new ParquetDestination(options, how, disk),
    async read(path) {
      // Of a target that is emptied there is a folder without parts.
      if (!(await readdir(join(path, 'current'))).some((name) => name.endsWith('.parquet'))) return []
      const rows = await duckdb(`SELECT source_record_id AS id FROM read_parquet('${path}/current/*.parquet')`)
      return rows.map(({ id }) => String(id))
    },
    givingUp: {
      // Until the link is renamed, readers see nothing of it.
      disk: {
        ...realPartDisk,
        rename: (from, to) => (to.endsWith('current') ? giveUp() : realPartDisk.rename(from, to)),
      },
      seen: idsOf(OLD),
    },
  },
}

const noSync = (isLeftOut: (path: string) => boolean) => (disk: PartDisk) =>
  withFiles(disk, (file, path) => (isLeftOut(path) ? { sync: async () => {} } : file))
const noNameSync =
  (isLeftOut: (folder: string) => boolean) =>
  (disk: PartDisk): PartDisk => ({
    ...disk,
    syncFolder: async (folder) => (isLeftOut(folder) ? undefined : disk.syncFolder(folder)),
  })
const any = (): boolean => true

interface Flaw {
  readonly flaw: (disk: PartDisk) => PartDisk
  readonly of: readonly string[]
  /** Of the luck that shows it. */
  readonly seeds: readonly number[]
}

const FLAWS: { readonly [title: string]: Flaw } = {
  'content that is not synced': { flaw: noSync(any), of: ['json', 'csv', 'parquet'], seeds: [0] },
  'rows that are not synced, while the state file is': {
    flaw: noSync((path) => !path.endsWith('.tmp')),
    of: ['json', 'csv'],
    seeds: [0],
  },
  'a part that gets its name without a sync': {
    flaw: noSync((path) => path.endsWith('.parquet.tmp')),
    of: ['parquet'],
    seeds: [0],
  },
  'names that are not synced': { flaw: noNameSync(any), of: ['json', 'csv', 'parquet'], seeds: [0, 2, 3] },
  'names of parts that are not synced': {
    flaw: noNameSync((folder) => /\/main\/[^/]+$/.test(folder)),
    of: ['parquet'],
    seeds: [0],
  },
  'a link that is switched without a sync': {
    flaw: noNameSync((folder) => /\/(?:main|routed)$/.test(folder)),
    of: ['parquet'],
    seeds: [0],
  },
}

describe.each(Object.entries(FORMATS))('%s', (format, files) => {
  describe('when the power goes behind any operation the next process still ends with every record once', () => {
    test.each(CASES)('$title', async (kind) => {
      const seeds = NIGHTLY ? [0, 1, 2, 3, 4] : [2]
      expect(await cutEverywhere(root, files, kind, undefined, seeds)).toEqual([])
    })
  })

  const flaws = Object.entries(FLAWS).filter(([, { of }]) => of.includes(format))
  test.each(flaws)('this test notices %s', async (_, { flaw, seeds }) => {
    // By day while rows are added, and to what readers see.
    for (const kind of NIGHTLY ? CASES : CASES.slice(2, 4)) {
      expect(await cutEverywhere(root, files, kind, flaw, seeds), kind.title).not.toEqual([])
    }
  })
})
