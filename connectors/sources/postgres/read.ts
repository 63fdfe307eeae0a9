// One read of a relation. A single statement gives all rows in the order of the key, in a transaction that sees one moment;
// they are taken from the socket as fast as pages are asked for. A position is the key of the last row, so that whoever goes
// on there, with a statement of its own, gets what follows.

import { isUtf8 } from 'node:buffer'
import { BizonError } from '../../../lib/errors.ts'
import { RawJson } from '../../../lib/record.ts'
import type { Page, SourceContext, Start, StreamInfo, Watermark } from '../../../lib/source.ts'
import { sleep } from '../../../lib/wait.ts'
import { Boundary, emptyMark, type Mark, markOf } from '../../keyset/boundary.ts'
import { checkOrder, Gathering, idOf, KeyCheck, type Place, placeOf, type SpanPlace } from '../../keyset/pages.ts'
import { type Connection, isGone } from '../../postgres.ts'
import { describe, type Relation } from './catalogue.ts'
import type { PostgresSourceOptions } from './config.ts'
import { lostError, readError } from './errors.ts'
import { CopyRows } from './rows.ts'
import { schemaOf } from './schema.ts'
import { settle } from './settle.ts'
import { BEGIN_LOOK, BEGIN_SNAPSHOT, orderOf, selectOf } from './statement.ts'

export interface ReadParts {
  readonly options: PostgresSourceOptions
  readonly context: Pick<SourceContext, 'stream' | 'mode' | 'log'>
  readonly connect: (signal: AbortSignal) => Promise<Connection>
}

const FIRST_WAIT_SECONDS = 0.1
const LONGEST_WAIT_SECONDS = 5

/** All pages, also when the connection is lost on the way, where a key says how to go on. */
export async function* readPages(parts: ReadParts, from: Start, signal: AbortSignal): AsyncGenerator<Page, void, void> {
  const { options, context } = parts
  const label = options.query === undefined ? (options.table ?? context.stream) : 'the query'
  let position = from.position as Place | undefined
  let lostAt: number | undefined
  let wait = FIRST_WAIT_SECONDS
  for (let begun = false; ; ) {
    let connection: Connection | undefined
    const cut = (): void => connection?.cut()
    signal.addEventListener('abort', cut, { once: true })
    try {
      if (signal.aborted) return
      connection = await parts.connect(signal)
      if (lostAt !== undefined) context.log.info('the connection to PostgreSQL is back; later rows are those of now')
      for await (const page of readOn(connection, parts, { ...from, ...(position && { position }) }, signal)) {
        begun = true
        lostAt = undefined
        wait = FIRST_WAIT_SECONDS
        if (page.next && !page.more) position = page.next as Place
        yield page
      }
      return
    } catch (error) {
      if (signal.aborted) return
      if (!isGone(error)) throw readError(error, label)
      const now = performance.now()
      const { reconnect_timeout: seconds } = options
      // Where nothing was given there is nothing to go on from; without a key nobody knows where to.
      if (!begun || position === undefined || now - (lostAt ?? now) + wait * 1000 > seconds * 1000) {
        throw begun ? lostError(error, label, position !== undefined) : readError(error, label)
      }
      if (lostAt === undefined) context.log.warn(`the connection to PostgreSQL was lost, trying for ${seconds} s`)
      lostAt ??= now
    } finally {
      signal.removeEventListener('abort', cut)
      await connection?.close()
    }
    await sleep(wait, signal)
    wait = Math.min(2 * wait, LONGEST_WAIT_SECONDS)
  }
}

export async function look(
  connection: Connection,
  { options, context }: Omit<ReadParts, 'connect'>,
): Promise<Relation> {
  await connection.query(BEGIN_LOOK)
  const relation = await describe(connection, options, context.stream)
  if (context.mode === 'incremental' && relation.key.length === 0) {
    throw new BizonError('config', `${relation.label} has no key, which an incremental read needs`, {
      hint: 'Name columns in source.primary_key that tell its rows apart and are never null; or use sync_mode: full_refresh.',
    })
  }
  // Whether it may be read, and ordered.
  const order = orderOf(relation, context.mode === 'incremental')
  await connection.query(`SELECT FROM (${selectOf({ relation, order })}) AS looked LIMIT 0`)
  await connection.query('COMMIT')
  return relation
}

export function streamOf({ stream: name }: Pick<SourceContext, 'stream'>, relation: Relation): StreamInfo {
  const { key, cursor } = relation
  return {
    name,
    resumable: true,
    incremental: cursor !== undefined && key.length > 0,
    ...(key.length > 0 && { primaryKey: key.map(({ name: column }) => column) }),
    schema: schemaOf(relation),
  }
}

/** From a position or the beginning, by one connection. */
async function* readOn(
  connection: Connection,
  parts: ReadParts,
  from: Start,
  signal: AbortSignal,
): AsyncGenerator<Page, void, void> {
  const { options, context } = parts
  const { log, mode } = context
  const relation = await look(connection, parts)
  const { label, key } = relation
  const place = from.position as SpanPlace | undefined
  const incremental = mode === 'incremental'
  const order = orderOf(relation, incremental)
  const names = order.map(({ name }) => name)
  if (place) checkOrder(label, place, names)
  const stream = streamOf(context, relation)
  const begun = await begin(connection, parts, relation, { place, since: from.since, signal })
  if (!begun) {
    yield { records: [], next: null, stream, ...(relation.cursor && { watermark: emptyMark(relation.cursor.name) }) }
    return
  }
  const { boundary, checked } = begun
  const sql = selectOf({ relation, order, after: place?.after, span: boundary?.span })

  const rows = new CopyRows()
  const gathering = new Gathering(options)
  const keyCheck = new KeyCheck(
    label,
    key.map(({ name }) => name),
  )
  const keyAt = key.map(({ name }) => names.indexOf(name))
  const marksAt = order.length + 1
  let count = 0
  let after: string[] = []
  for await (const chunk of connection.copyOut(`COPY (${sql}) TO STDOUT (FORMAT binary)`)) {
    rows.push(chunk)
    while (rows.next()) {
      const data = new RawJson(rows.buffer, rows.starts[0], rows.ends[0])
      if (checked && !isUtf8(data.bytes())) throw notUtf8(label, after)
      count += 1
      if (key.length === 0) {
        // Without a key there is no place to go on from before the end.
        if (gathering.full) yield { ...gathering.take(), stream, next: {}, more: true }
        gathering.add(String(count), data)
        continue
      }
      const values = order.map((_, at) => {
        if (rows.isNull(at + 1)) throw keyCheck.missing()
        return rows.text(at + 1)
      })
      const id = idOf(
        keyAt.length === 1 ? [values[keyAt[0] as number] as string] : keyAt.map((at) => values[at] as string),
      )
      // Before the page is given: whoever went on at its end would pass over a second row of its last key.
      keyCheck.next(id)
      if (gathering.full) yield { ...gathering.take(), stream, next: placeOf(names, after, boundary) }
      after = values
      if (boundary && !boundary.take(foundIn(id, rows.text(marksAt)))) continue
      gathering.add(id, data)
    }
  }
  if (!rows.ended) throw new BizonError('internal', `${label}: what PostgreSQL sent has no end`)
  await connection.query('COMMIT')
  if (boundary && boundary.forgotten > 0) {
    log.warn(
      `${label}: ${boundary.forgotten} rows more than can be told apart have the last ${boundary.span.field}; the next run adds them again`,
    )
  }
  yield { ...gathering.take(), next: null, stream, ...(boundary && { watermark: boundary.mark }) }
}

interface Opening {
  readonly place: SpanPlace | undefined
  readonly since: Watermark | undefined
  readonly signal: AbortSignal
}

interface Begun {
  readonly boundary: Boundary | undefined
  /** Whether the server may hold text that is not UTF-8. */
  readonly checked: boolean
}

/** Opens the transaction of the read. Undefined: there is nothing to be read. */
async function begin(
  connection: Connection,
  { options, context }: ReadParts,
  relation: Relation,
  { place, since, signal }: Opening,
): Promise<Begun | undefined> {
  const { cursor } = relation
  const spanned = context.mode === 'incremental' && cursor !== undefined
  const mark = spanned && !place ? markOf(cursor.name, since) : undefined
  const from = mark?.value ?? null
  const settling = { timeoutSeconds: options.late_commit_timeout, log: context.log, signal }
  const newest = spanned && !place ? await settle(connection, { relation, cursor, from }, settling) : undefined
  if (spanned && !place && !newest) return undefined
  await connection.query(BEGIN_SNAPSHOT)
  const { rows } = await connection.query(
    `SELECT txid_snapshot_xmin(s)::text AS horizon, txid_snapshot_xmax(s)::text AS next,
       current_setting('server_encoding') AS encoding FROM txid_current_snapshot() AS s`,
  )
  const { horizon, next, encoding } = rows[0] as { horizon: string; next: string; encoding: string }
  const checked = encoding === 'SQL_ASCII'
  if (!spanned) return { boundary: undefined, checked }
  if (place) return { boundary: new Boundary(place.span, [], place.boundary), checked }
  const span = {
    field: cursor.name,
    from,
    fromHorizon: knownHorizon(mark, next, context),
    until: newest?.until ?? '',
    horizon: relation.dated ? horizon : null,
    still: newest?.still ?? false,
  }
  return { boundary: new Boundary(span, mark?.ids ?? []), checked }
}

/** Of another server, to which the table was moved, transactions have other numbers. */
function knownHorizon(mark: Mark | undefined, next: string, { log }: Pick<SourceContext, 'log'>): string | null {
  const horizon = mark?.horizon ?? null
  if (horizon === null || BigInt(horizon) <= BigInt(next)) return horizon
  log.warn(`the rows with ${mark?.field} ${mark?.value} are added again: the server is not the one of the run before`)
  return null
}

function foundIn(id: string, marks: string) {
  return { id, first: marks.includes('a'), last: marks.includes('z'), fresh: marks.includes('f') }
}

function notUtf8(label: string, after: readonly string[]): BizonError {
  const where = after.length === 0 ? 'its first row' : `the row after ${idOf(after)}`
  return new BizonError('invalid_record', `${label}: ${where} holds text that is not UTF-8`, {
    hint: 'The database has the encoding SQL_ASCII, which checks nothing: correct the row.',
  })
}
