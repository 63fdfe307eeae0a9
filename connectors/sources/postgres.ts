// Tables, views and queries of a PostgreSQL database. The server makes the JSON text of each row, which reaches the
// destination as it is.
//
//   postgres/config.ts      its keys
//   postgres/catalogue.ts   postgres/schema.ts   what a table is made of, and its key
//   postgres/statement.ts   the SQL
//   postgres/settle.ts      up to where an incremental read may go
//   postgres/rows.ts        what COPY gives, to rows
//   postgres/read.ts        rows to pages; a connection that is lost
//   postgres/errors.ts      what the server answers

import { defineSource } from '../../lib/source.ts'
import { anyTable } from '../keyset/pages.ts'
import { addressIn } from '../postgres/address.ts'
import { connect } from '../postgres.ts'
import { checkKeys, config, tuning } from './postgres/config.ts'
import { readError } from './postgres/errors.ts'
import { look, readPages } from './postgres/read.ts'

export default defineSource({
  summary:
    'Tables, views and queries of PostgreSQL, by key and from one moment; what is new without losing late commits.',
  config,
  tuning,
  streams: anyTable,
  create(options, context) {
    checkKeys(options, context.mode)
    const address = addressIn(options, ['source'])
    const parts = {
      options,
      context,
      connect: (signal: AbortSignal) => connect(address, signal, 'source'),
    }
    let rows: number | undefined
    return {
      async check(signal) {
        const connection = await parts.connect(signal)
        try {
          const relation = await connection.interruptible(signal, look(connection, parts))
          rows = relation.rows
        } catch (error) {
          throw readError(error, options.query === undefined ? (options.table ?? context.stream) : 'the query')
        } finally {
          await connection.close()
        }
      },
      read: (from, signal) => readPages(parts, from, signal),
      // An estimate; of what is new there is none.
      count: async () => (context.mode === 'incremental' ? undefined : rows),
    }
  },
})
