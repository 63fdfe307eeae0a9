// Crash tests of columns that follow the records, in a SQLite file: the program sqlite3 reads rows and columns back.

import { sqlite3 } from '../support/sqlite-destination.ts'
import type { Kind, Place } from './columns.ts'
import { pipelineFile } from './scenario.ts'
import { until, Workspace } from './workspace.ts'

export const sqlite: Kind = {
  name: 'sqlite',
  columns: { before: 'a INTEGER, id INTEGER', after: 'a TEXT, b TEXT, c INTEGER, id INTEGER' },
  async prepare(mode, files) {
    return placed(await Workspace.create({ ...files, 'pipeline.yml': pipelineOf(mode) }))
  },
}

function pipelineOf(mode: Parameters<Kind['prepare']>[0]): string {
  return pipelineFile({ mode })
    .replace('page_bytes: 4096', 'page_bytes: 160')
    .replace(
      /^destination:\n(.*\n)*?(?=engine:)/m,
      'destination:\n  name: sqlite\n  config:\n    path: data.sqlite3\n    buffer_size: 0\n    unnest: columns\n    metadata: none\n',
    )
}

function placed(place: Workspace): Place {
  const ask = async (sql: string): Promise<Record<string, unknown>[]> =>
    JSON.parse((await sqlite3(place.path('data.sqlite3'), sql, '-json')) || '[]')
  const held = async (): Promise<Record<string, unknown> | undefined> => {
    if ((await ask("SELECT 1 FROM sqlite_schema WHERE name = '_bizon_state'")).length === 0) return undefined
    return (await ask("SELECT epoch, json_extract(state, '$.checkpoint.rows') AS rows FROM _bizon_state"))[0]
  }
  return {
    place,
    run: (execution) => place.bizon(execution),
    async finish(stopAt, execution) {
      if (stopAt === undefined) return place.bizon(execution)
      const earlier = (await held())?.epoch
      return place.bizon({
        ...execution,
        during: async (child) => {
          // Claimed by the new process: only then is it sure to heed signals.
          const reached = async (): Promise<boolean> => {
            const { epoch, rows } = (await held()) ?? {}
            return epoch !== earlier && Number(rows) >= stopAt
          }
          await until(`${stopAt} rows are durable`, reached, child)
          child.kill('SIGTERM')
        },
      })
    },
    async look() {
      const schema = await ask("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
      const tables = schema.map(({ name }) => String(name))
      const types = await ask("SELECT name, type FROM pragma_table_info('records')")
      const columns = types.map(({ name, type }) => `${name} ${type}`)
      const rows = tables.includes('records') ? await ask('SELECT * FROM records ORDER BY id, a') : []
      return { rows: rows.map(plain), columns, tables, durable: Number((await held())?.rows ?? 0) }
    },
    remove: () => place.remove(),
  }
}

/** A number with all its digits is text there, and true is 1. */
function plain({ a, c, ...row }: Record<string, unknown>): object {
  return {
    ...row,
    ...(a !== undefined && { a: a === null ? null : Number(a) }),
    ...(c !== undefined && { c: c === null ? null : c === 1 }),
  }
}
