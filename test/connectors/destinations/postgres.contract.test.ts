import { basename } from 'node:path'
import { beforeAll } from 'vitest'
import type { Destination } from '../../../lib/destination.ts'
import { destinationContract } from '../../contract/destination.ts'
import { idsIn, postgresDestination } from '../../support/postgres-destination.ts'
import { freshDatabase } from '../../support/services/postgres.ts'

let url = ''
beforeAll(async () => {
  url = (await freshDatabase()).url
})

/** Each case has a schema of its own. */
const schemaOf = (folder: string): string => basename(folder)

destinationContract('postgres', {
  create: (folder, { mode, before }): Destination =>
    postgresDestination({
      url,
      mode,
      options: { schema: schemaOf(folder), create_schema: true },
      ...(before && { before }),
    }),
  readBack: (folder, target) => idsIn(url, `"${schemaOf(folder)}"."${target}"`),
  idOf: (_, target) => target,
})
