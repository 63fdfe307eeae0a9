import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse as parseCsv } from 'csv-parse/sync'
import { realDisk } from '../../../connectors/destinations/file/disk.ts'
import { FileReader } from '../../../connectors/destinations/file/reader.ts'
import { FileDestination, type FileOptions } from '../../../connectors/destinations/file.ts'
import { systemCode } from '../../../lib/errors.ts'
import { destinationContract } from '../../contract/destination.ts'
import { watched } from '../../support/disk.ts'

const idsIn = {
  json: (text: string): string[] =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line).source_record_id),
  csv: (text: string): string[] =>
    (parseCsv(text, { columns: true }) as { source_record_id: string }[]).map((row) => row.source_record_id),
}

const NIGHTLY = process.env.BIZON_NIGHTLY === '1'

/** The other format differs in what it writes, not in how: it does so without the syncs. */
const DURABILITY = { json: 'power_loss', csv: 'process' } as const

const optionsIn = (folder: string, format: 'json' | 'csv'): FileOptions => ({
  format,
  metadata: 'bizon',
  durability: DURABILITY[format],
  visibility: 'run',
  on_empty: 'publish',
  destinationId: join(folder, 'out', 'main'),
  unnest: false,
  recordSchemas: [],
})

for (const format of NIGHTLY ? (['json', 'csv'] as const) : (['json'] as const)) {
  destinationContract(`file, ${format}`, {
    create: (folder, { mode, before }) =>
      new FileDestination(
        optionsIn(folder, format),
        { stream: 'main', mode },
        before ? watched(realDisk, before) : realDisk,
      ),
    reader: (folder) => new FileReader(optionsIn(folder, format)),
    async readBack(folder, target) {
      const text = await readFile(join(folder, 'out', `${target}.${format}`), 'utf8').catch((error: unknown) => {
        if (systemCode(error) === 'ENOENT') return undefined
        throw error
      })
      return text === undefined ? undefined : idsIn[format](text)
    },
    noticed: new RegExp(`main\\.${format}`),
    idOf: (folder, target) => join(folder, 'out', target),
    step: 3,
  })
}
