// What the server answers, in words that name the record or the table, and say what to do.

import { BizonError, messageOf } from '../../../lib/errors.ts'
import { detailsOf, sqlState } from '../../postgres.ts'
import { NO_NULL } from './merge.ts'

/** Of a COPY: which record the server stopped at. Undefined when it was not for the sake of one. */
export function recordError(error: unknown, ids: readonly string[], table: string): BizonError | undefined {
  const state = sqlState(error)
  // Data, encodings, constraints.
  if (state === undefined || !/^2[23]/.test(state)) return undefined
  const { where = '', constraint } = detailsOf(error)
  const detail = detailOf(error)
  const [, line, column, value] = /^COPY .*?, line (\d+)(?:, column (.*?))?(?:: (.*))?$/m.exec(where) ?? []
  const id = line === undefined ? undefined : ids[Number(line) - 1]
  const record = id === undefined ? 'a record' : `record ${JSON.stringify(id)}`
  const at = column === undefined ? '' : `, column ${column}`
  const message = messageOf(error)
  const more = [detail, state === '22001' || state === '22003' ? value : undefined]
    .filter((text) => text !== undefined && !message.includes(text))
    .map((text) => ` (${excerpt(String(text))})`)
  const isKey = constraint === NO_NULL
  const reason = isKey ? 'a field of its primary_key is null or missing' : `${excerpt(message)}${more.join('')}`
  const way = isKey ? 'change primary_key.' : (WAYS.get(state) ?? 'change the type of the column.')
  return new BizonError('invalid_record', `table ${table}, ${record}${at}: ${reason}`, {
    hint: isHalf(state, `${message} ${detail}`) ? HALF : `Correct it in a transform, or ${way}`,
    cause: error,
  })
}

/** What helps against constraints of other people; behind "or". */
const WAYS = new Map([
  ['23502', 'drop NOT NULL of the column; a DEFAULT helps where no record has the field.'],
  ['23505', 'remove the row that has the value, or the constraint.'],
  ['23503', 'drop the constraint.'],
  ['23514', 'drop the constraint.'],
])

const HALF =
  'Half of a surrogate pair (\\ud800 to \\udfff alone) is no character to PostgreSQL: replace it in a transform, or drop the field there.'

/** Payloads are JSON: only what stands for a character can be wrong in them. */
const isHalf = (state: string, text: string): boolean => state === '22P02' && /surrogate/i.test(text)

/** What more the server says of an error, unless that is a whole row, which may hold anything. */
function detailOf(error: unknown): string | undefined {
  const { detail, constraint } = detailsOf(error)
  const state = sqlState(error)
  const isRow = state === '23502' || (state === '23514' && constraint !== undefined)
  return isRow ? undefined : detail
}

/** Anything else that the server refuses. Other errors come back as they are. */
export function serverError(error: unknown, target: string): unknown {
  const state = sqlState(error)
  if (state === undefined || error instanceof BizonError) return error
  const failed = (hint: string | undefined, retriable = false): BizonError => {
    const detail = detailOf(error)
    const more = detail === undefined ? '' : ` (${excerpt(detail)})`
    return new BizonError('destination', `${target}: PostgreSQL: ${messageOf(error)}${more}`, {
      hint,
      retriable,
      cause: error,
    })
  }
  switch (state) {
    case '3F000':
      return failed('Create the schema, or set create_schema: true.')
    case '42501':
      return failed('GRANT the right to the role that bizon uses, or use another one.')
    case '2BP01':
      return failed('Set replace_strategy to truncate_insert, which fills the same table.')
    case '42P07':
      return failed('Rename that table, or choose another destination_id.')
    case '0A000':
      // An ALTER that something hangs on: a view, a trigger, a generated column.
      if (!/AlterColumnType|DependentForRebuilding/.test(detailsOf(error).routine ?? '')) return failed(undefined)
      return failed(
        'Drop it, run again, and create it anew. Or set on_schema_change to freeze or fail, where such a value fails the run, and correct it in a transform.',
      )
    case '23502':
    case '23514':
      return failed(`Correct the records in a transform, or ${WAYS.get(state)}`)
    case '23505':
      return failed('Rows with one key are there twice. Remove one, or change primary_key.')
    case '55P03':
      return failed('Another transaction holds a lock: end it, or raise lock_timeout. Then run again.', true)
    case '53100':
      return failed('The disk of the server is full: make room, then run again.', true)
    default:
      return failed(undefined, state.startsWith('53') || state.startsWith('40'))
  }
}

/** Rows that were sent and are not there: a trigger or a rule took them. */
export function swallowed(table: string, count: number, sent: number): BizonError {
  return new BizonError(
    'destination',
    `table ${table} took ${count} of ${sent} rows: a trigger or a rule of it drops some`,
    {
      hint: 'Remove it, or choose another destination_id.',
    },
  )
}

/** Rows that were deleted and are there still. */
export function undeleted(table: string, count: number): BizonError {
  return new BizonError(
    'destination',
    `table ${table}: ${count} rows stay when they are deleted: a trigger or a rule of it keeps them`,
    { hint: 'Remove it, or choose another destination_id.' },
  )
}

const LONGEST = 200

function excerpt(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ')
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line
}
