import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type PartDisk, realPartDisk } from '../../../connectors/destinations/file/parquet/disk.ts'
import { ParquetDestination } from '../../../connectors/destinations/file/parquet.ts'
import { FileReader } from '../../../connectors/destinations/file/reader.ts'
import type { FileOptions } from '../../../connectors/destinations/file.ts'
import { destinationContract } from '../../contract/destination.ts'
import { watched } from '../../support/disk.ts'
import { duckdb } from '../../support/duckdb.ts'

/** As `watched`, also before what only folders of parts need. */
function watchedParts(disk: PartDisk, before: (operation: string) => void): PartDisk {
  return {
    ...disk,
    ...watched(disk, before),
    async link(from, to) {
      before(`link ${to}`)
      return disk.link(from, to)
    },
    async makeLink(target, path) {
      before(`makeLink ${path}`)
      return disk.makeLink(target, path)
    },
    async removeFolder(path) {
      before(`removeFolder ${path}`)
      return disk.removeFolder(path)
    },
  }
}

const optionsIn = (folder: string): FileOptions => ({
  format: 'parquet',
  metadata: 'bizon',
  durability: 'process',
  visibility: 'run',
  on_empty: 'publish',
  destinationId: join(folder, 'out', 'main'),
  unnest: false,
  recordSchemas: [],
})

destinationContract('file, parquet', {
  create: (folder, { mode: _, before }) =>
    new ParquetDestination(
      optionsIn(folder),
      { stream: 'main' },
      before ? watchedParts(realPartDisk, before) : realPartDisk,
    ),
  reader: (folder) => new FileReader(optionsIn(folder)),
  async readBack(folder, target) {
    const current = join(folder, 'out', target, 'current')
    const parts = await readdir(current).catch(() => [])
    if (!parts.some((name) => name.endsWith('.parquet'))) return undefined
    const rows = await duckdb(`SELECT source_record_id FROM read_parquet('${current}/*.parquet')`)
    return rows.map((row) => String(row.source_record_id))
  },
  idOf: (folder, target) => join(folder, 'out', target),
  noticed: /rename .*current/,
  step: 7,
})
