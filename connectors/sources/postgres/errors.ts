// What the server answers to a reader, in words that name the table and say what to do.

import { BizonError, messageOf } from '../../../lib/errors.ts'
import { sqlState } from '../../postgres.ts'

/** Errors of another kind come back as they are. */
export function readError(error: unknown, label: string): unknown {
  const state = sqlState(error)
  if (state === undefined || error instanceof BizonError) return error
  const failed = (hint: string | undefined, retriable = false): BizonError =>
    new BizonError('source', `${label}: PostgreSQL: ${messageOf(error)}`, { hint, retriable, cause: error })
  switch (state) {
    case '42501':
      return failed(
        'GRANT SELECT on it to the role that bizon uses; of some columns alone, name them in source.columns.',
      )
    case '25006':
      return failed('bizon reads in a transaction that may not write: leave out of the query what does.')
    case '40001':
      return failed(
        'A standby gives up reads that hold it back: raise max_standby_streaming_delay. Then run again.',
        true,
      )
    case '57014':
      return failed('Somebody cancelled it, or a limit of the server did. Run again.', true)
    case '42883':
      return failed('Order by columns of another type: a key and a cursor_field must have an order.')
    default:
      return failed(undefined, /^(?:53|55|57|08|40)/.test(state))
  }
}

/** The connection went away within a read that cannot be gone on with. */
export function lostError(error: unknown, label: string, tried: boolean): BizonError {
  const reason = error instanceof BizonError ? error.message : messageOf(error)
  return new BizonError('source', `${label}: the connection to PostgreSQL was lost: ${reason}`, {
    hint: tried
      ? 'Run again once it is back: the run goes on from its last checkpoint.'
      : 'Run again once it is back. Without a key the table is read from its beginning: see source.primary_key.',
    retriable: true,
    cause: error,
  })
}
