// Crash tests of columns that follow the records, in PostgreSQL: psql reads rows and columns back after each kill.

import { dropDatabase, freshDatabase, psqlEach } from '../support/services/postgres.ts'
import type { Kind, Place } from './columns.ts'
import { Trial } from './postgres.ts'
import { pipelineFile } from './scenario.ts'
import { Workspace } from './workspace.ts'

export const postgres: Kind = {
  name: 'postgres',
  columns: { before: 'a bigint, id bigint', after: 'a numeric, b text, c boolean, id bigint' },
  async prepare(mode, files) {
    const database = await freshDatabase()
    const place = await Workspace.create({ ...files, 'pipeline.yml': pipelineOf(mode) })
    return placed(new Trial(place, database))
  },
}

function pipelineOf(mode: Parameters<Kind['prepare']>[0]): string {
  return pipelineFile({ mode })
    .replace('page_bytes: 4096', 'page_bytes: 160')
    .replace(
      /^destination:\n(.*\n)*?(?=engine:)/m,
      'destination:\n  name: postgres\n  config:\n    url: env://PG_URL\n    buffer_size: 0\n    unnest: columns\n    metadata: none\n',
    )
}

function placed(trial: Trial): Place {
  const { url } = trial.database
  return {
    place: trial.place,
    run: (execution) => trial.run(execution),
    finish: (stopAt, execution) => trial.finish({ ...NONE, ...(stopAt !== undefined && { stopAt }) }, execution),
    async look() {
      const [rows = '', columns = '', tables = '', durable = ''] = await psqlEach(url, [
        'SELECT to_jsonb(r) FROM records AS r ORDER BY id, a',
        `SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = to_regclass('records') AND attnum > 0 AND NOT attisdropped`,
        `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname`,
        `SELECT coalesce(checkpoint->>'rows', '0') FROM _bizon_state`,
      ])
      return {
        rows: rows
          .split('\n')
          .slice(0, -1)
          .map((row) => JSON.parse(row)),
        columns: columns.trim() === '' ? [] : columns.trim().split(', '),
        tables: tables.trim().split('\n'),
        durable: Number(durable.trim()),
      }
    },
    async remove() {
      await trial.place.remove()
      await dropDatabase(trial.database)
    },
  }
}

/** What `finish` does not look at. */
const NONE = { title: '', files: {}, after: '', order: 'key' } as const
