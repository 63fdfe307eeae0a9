import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { realDisk } from '../../../connectors/destinations/file/disk.ts'
import { FileReader } from '../../../connectors/destinations/file/reader.ts'
import { FileDestination, type FileOptions } from '../../../connectors/destinations/file.ts'
import { systemCode } from '../../../lib/errors.ts'
import { destinationContract } from '../../contract/destination.ts'
import { watched } from '../../support/disk.ts'

const optionsIn = (folder: string): FileOptions => ({
  format: 'json',
  metadata: 'bizon',
  durability: 'power_loss',
  on_empty: 'publish',
  destinationId: join(folder, 'out', 'main'),
  unnest: false,
  recordSchemas: [],
})

destinationContract('file', {
  create: (folder, { mode, before }) =>
    new FileDestination(optionsIn(folder), { stream: 'main', mode }, before ? watched(realDisk, before) : realDisk),
  reader: (folder) => new FileReader(optionsIn(folder)),
  async readBack(folder, target) {
    const text = await readFile(join(folder, 'out', `${target}.json`), 'utf8').catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    })
    return text
      ?.split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line).source_record_id)
  },
  idOf: (folder, target) => join(folder, 'out', target),
})
