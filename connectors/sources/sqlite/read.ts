// One read of a relation of a SQLite file: a single statement gives all rows in the order of the key, within a transaction
// that sees one moment. A position is the key of the last row.

import { isUtf8 } from 'node:buffer'
import { setImmediate } from 'node:timers/promises'
import { BizonError } from '../../../lib/errors.ts'
import { type JsonObject, RawJson } from '../../../lib/record.ts'
import type { Page, SourceContext, Start, StreamInfo } from '../../../lib/source.ts'
import { Boundary, emptyMark, markOf } from '../../keyset/boundary.ts'
import { checkOrder, Gathering, idOf, KeyCheck, placeOf, type SpanPlace } from '../../keyset/pages.ts'
import { type Database, sqliteError } from '../../sqlite.ts'
import { describe, type Relation } from './catalogue.ts'
import type { SqliteSourceOptions } from './config.ts'
import { openFile } from './file.ts'
import { kindOf, misplacedOf, mixedOf, newestOf, orderOf, selectOf } from './statement.ts'

export interface ReadParts {
  /** With an absolute path. */
  readonly options: SqliteSourceOptions
  readonly context: Pick<SourceContext, 'stream' | 'mode' | 'log'>
}

export function look(database: Database, { options, context }: ReadParts): Relation {
  const relation = describe(database, options, context.stream)
  if (context.mode === 'incremental' && relation.key.length === 0) {
    throw new BizonError('config', `${relation.label} has no key, which an incremental read needs`, {
      hint: 'Name columns in source.primary_key that tell its rows apart and are never null; or use sync_mode: full_refresh.',
    })
  }
  database.prepare(selectOf({ relation, order: orderOf(relation, context.mode === 'incremental') }).sql)
  return relation
}

export async function* readPages(parts: ReadParts, from: Start, signal: AbortSignal): AsyncGenerator<Page, void, void> {
  if (signal.aborted) return
  const file = await openFile(parts.options)
  const pages = pagesOf(file.database, parts, from)
  try {
    for (;;) {
      // A page is read at one go: between two of them others get their turn.
      await setImmediate()
      if (signal.aborted) return
      const { done, value } = pages.next()
      if (done) return
      yield value
    }
  } catch (error) {
    throw sqliteError(error, parts.options.path, 'source')
  } finally {
    pages.return()
    file.close()
  }
}

function* pagesOf(database: Database, parts: ReadParts, from: Start): Generator<Page, void, void> {
  database.exec('BEGIN')
  const { options, context } = parts
  const relation = look(database, parts)
  const { label, key } = relation
  const place = from.position as SpanPlace | undefined
  const order = orderOf(relation, context.mode === 'incremental')
  if (place) checkOrder(label, place, order)
  const stream = streamOf(context, relation)
  const boundary = context.mode === 'incremental' ? boundaryOf(database, relation, from) : undefined
  if (boundary === null) {
    yield { records: [], next: null, stream, watermark: emptyMark(relation.cursor ?? '') }
    return
  }
  const { sql, values } = selectOf({ relation, order, after: place?.after, span: boundary?.span })
  const gathering = new Gathering(options)
  const keyCheck = new KeyCheck(label, key)
  const keyAt = key.map((name) => order.indexOf(name))
  let count = 0
  let after: string[] = []
  for (const row of database
    .prepare(sql)
    .raw()
    .iterate(...values) as Iterable<readonly unknown[]>) {
    const data = row[0] as Buffer
    count += 1
    if (!isUtf8(data)) throw notUtf8(label, after, count)
    if (key.length === 0) {
      // Without a key there is no place to go on from before the end.
      if (gathering.full) yield { ...gathering.take(), stream, next: {}, more: true }
      gathering.add(String(count), new RawJson(data))
      continue
    }
    const values = order.map((_, at) => {
      const value = row[at + 1] as Buffer | null
      if (value === null) throw keyCheck.missing()
      if (!isUtf8(value)) throw notUtf8(label, after, count)
      return value.toString()
    })
    // With their kinds, which the id leaves out: two values may look alike.
    const known = idOf(keyAt.map((at) => values[at] as string))
    // Before the page is given: whoever went on at its end would pass over a second row of its last key.
    keyCheck.next(known)
    if (gathering.full) yield { ...gathering.take(), stream, next: placeOf(order, after, boundary) }
    after = values
    const [first, last] = [row[order.length + 1] === 1, row[order.length + 2] === 1]
    if (boundary && !boundary.take({ id: known, first, last })) continue
    gathering.add(idOf(keyAt.map((at) => (values[at] as string).slice(1))), new RawJson(data))
  }
  if (boundary && boundary.forgotten > 0) {
    context.log.warn(
      `${label}: ${boundary.forgotten} rows more than can be told apart have the last ${boundary.span.field}; the next run adds them again`,
    )
  }
  yield { ...gathering.take(), next: null, stream, ...(boundary && { watermark: boundary.mark }) }
}

/** Null: there is nothing to be read. */
function boundaryOf(database: Database, relation: Relation, { position, since }: Start): Boundary | null {
  const { cursor = '', label } = relation
  const place = position as SpanPlace | undefined
  if (place) return new Boundary(place.span, [], place.boundary)
  if (database.prepare(misplacedOf(relation, cursor)).pluck().get() === 1) {
    throw new BizonError(
      'invalid_record',
      `${label} has rows whose ${cursor} is null or infinity: no incremental read can tell whether they are new`,
      {
        hint: 'Give them a value; or read a query that leaves them out or puts another value in its place (coalesce).',
      },
    )
  }
  const mark = markOf(cursor, since)
  const from = mark?.value ?? null
  const { sql, values } = newestOf(relation, cursor, from)
  const newest = database.prepare(sql).get(...values) as { until: string; still: number } | undefined
  const isOther = from !== null && newest !== undefined && kindOf(from) !== kindOf(newest.until)
  if (isOther || database.prepare(mixedOf(relation, cursor)).pluck().get() === 1) {
    const before = isOther ? `, and the run before ended with ${kindOf(from)}` : ''
    throw new BizonError(
      'invalid_record',
      `${label} has rows whose ${cursor} is ${isOther ? kindOf(newest.until) : 'a number, and others whose is not'}${before}: SQLite does not compare them by what they mean`,
      { hint: 'Write all of them in one way; or read a query that does. After that run once with --reset.' },
    )
  }
  const still = from !== null && (newest === undefined || newest.still === 1)
  const until = still ? from : newest?.until
  if (until === undefined) return null
  const span = { field: cursor, from, fromHorizon: null, until, horizon: null, still }
  return new Boundary(span, mark?.ids ?? [])
}

function streamOf({ stream: name }: Pick<SourceContext, 'stream'>, { key, cursor, chosen }: Relation): StreamInfo {
  return {
    name,
    resumable: true,
    incremental: cursor !== undefined && key.length > 0,
    ...(key.length > 0 && { primaryKey: key }),
    schema: { type: 'object', properties: Object.fromEntries(chosen.map(({ name: column }) => [column, ANY])) },
  }
}

/** Whatever is declared, a column may hold any kind of value. */
const ANY: JsonObject = {}

function notUtf8(label: string, after: readonly string[], count: number): BizonError {
  const where = after.length === 0 ? `row ${count}` : `the row after ${idOf(after.map((text) => text.slice(1)))}`
  return new BizonError('invalid_record', `${label}: ${where} holds text that is not UTF-8`, {
    hint: 'Correct it; or read a query that casts the column to BLOB, which is written as base64.',
  })
}
