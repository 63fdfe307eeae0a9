// What the server answers to the store, in words that say what to do.

import { BizonError, messageOf } from '../../../lib/errors.ts'
import { sqlState } from '../../postgres.ts'

/** Errors of another kind come back as they are. */
export function stateError(error: unknown, place: string): unknown {
  if (error instanceof BizonError) return error
  const state = sqlState(error)
  const failed = (hint: string | undefined, retriable = false): BizonError =>
    new BizonError('state', `state in ${place}: PostgreSQL: ${messageOf(error)}`, { hint, retriable, cause: error })
  switch (state) {
    case undefined:
      return error
    case '42501':
      return failed('Let the role that bizon uses own the tables of the state, or GRANT it the right.')
    case '42P01':
    case '42703':
      return failed('The tables of the state were removed or changed: restore them, or name another schema.')
    case '22001':
      return failed('Names of a pipeline, its source and its stream have 100 characters at most in this store.')
    case '25006':
      return failed('It is a standby, or set to be read only: name the server that takes writes.')
    case '55P03':
      return failed('Another transaction holds a lock on the state: end it. Then run again.', true)
    case '53100':
      return failed('The disk of the server is full: make room, then run again.', true)
    default:
      return failed(undefined, /^(?:53|40)/.test(state))
  }
}
