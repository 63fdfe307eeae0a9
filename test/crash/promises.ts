// What is promised, for each destination and mode, and what a kill at each point leaves. The tests prove each row, and
// `npm run docs` prints them into docs/delivery.md, so that the page cannot promise what no test has shown.

import type { batchScenarios, scopeScenarios } from './batches.ts'
import type { formatScenarios } from './formats.ts'
import type { kafkaScenarios } from './kafka.ts'
import type { postgresScenarios } from './postgres.ts'
import type { scenarios } from './scenario.ts'
import type { sqliteScenarios } from './sqlite.ts'

export interface DeliveryPromise {
  readonly destination: string
  readonly mode: string
  readonly delivery: 'exactly once' | 'at least once'
  /** What may be there twice, and when. */
  readonly repeats: string
  /** What readers may see at any moment, also between a crash and the next run. */
  readonly readers: 'the old content or the new' | 'the old content, then a growing part of what is added' | 'a log'
  /** The scenarios that are killed everywhere to prove it. */
  readonly proof: readonly (
    | keyof typeof scenarios
    | keyof typeof postgresScenarios
    | keyof typeof sqliteScenarios
    | keyof typeof kafkaScenarios
    | keyof typeof formatScenarios
    | keyof typeof batchScenarios
    | keyof typeof scopeScenarios
    | 'logger'
  )[]
}

export const promises: readonly DeliveryPromise[] = [
  {
    destination: '`file`',
    mode: '`full_refresh`',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content or the new',
    proof: ['fullRefresh', 'fullRefreshOver', 'unnest'],
  },
  {
    destination: '`file`',
    mode: '`incremental`, first run or reset',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content or the new',
    proof: ['incrementalFirst', 'reset'],
  },
  {
    destination: '`file`',
    mode: '`incremental`, adding',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content, then a growing part of what is added',
    proof: ['incrementalAppend', 'pageByPage'],
  },
  {
    destination: '`file`',
    mode: '`incremental`, adding, `visibility: batch`',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content, then a growing part of what is added',
    proof: ['fileBatch'],
  },
  {
    destination: '`file`',
    mode: '`stream`',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content, then a growing part of what is added',
    proof: ['stream', 'routed'],
  },
  {
    destination: '`file`, `format: csv`',
    mode: '`full_refresh`, and `incremental`, first run or reset',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content or the new',
    proof: ['csvFullRefresh'],
  },
  {
    destination: '`file`, `format: csv`',
    mode: '`incremental`, adding; `stream`',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content, then a growing part of what is added',
    proof: ['csvAppend', 'csvStream'],
  },
  {
    destination: '`file`, `format: parquet`',
    mode: '`full_refresh`, and `incremental`, first run or reset',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content or the new',
    proof: ['parquetFullRefresh'],
  },
  {
    destination: '`file`, `format: parquet`',
    mode: '`incremental`, adding',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content or the new',
    proof: ['parquetAppend'],
  },
  {
    destination: '`file`, `format: parquet`',
    mode: '`stream`',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content, then a growing part of what is added',
    proof: ['parquetStream'],
  },
  {
    destination: '`postgres`',
    mode: '`full_refresh`, and `incremental`, first run or reset',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content or the new',
    proof: ['postgresFullRefresh'],
  },
  {
    destination: '`postgres`',
    mode: '`incremental`, adding',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content or the new',
    proof: ['postgresAppend'],
  },
  {
    destination: '`postgres`',
    mode: '`incremental`, merging (`primary_key`)',
    delivery: 'exactly once',
    repeats: 'nothing; of each key there is the newest row',
    readers: 'the old content or the new',
    proof: ['postgresMerge'],
  },
  {
    destination: '`postgres`',
    mode: '`incremental`, replacing by `replace_scope`',
    delivery: 'exactly once',
    repeats: 'nothing; of each scope there are the rows of the last run that had some',
    readers: 'the old content or the new',
    proof: ['postgresScope'],
  },
  {
    destination: '`postgres`',
    mode: '`incremental`, adding or merging, `visibility: batch`',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content, then a growing part of what is added',
    proof: ['postgresBatch'],
  },
  {
    destination: '`postgres`',
    mode: '`stream`',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content, then a growing part of what is added',
    proof: ['postgresStream'],
  },
  {
    destination: '`sqlite`',
    mode: '`full_refresh`, and `incremental`, first run or reset',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content or the new',
    proof: ['sqliteFullRefresh', 'sqliteRefill'],
  },
  {
    destination: '`sqlite`',
    mode: '`incremental`, adding',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content or the new',
    proof: ['sqliteAppend'],
  },
  {
    destination: '`sqlite`',
    mode: '`incremental`, merging (`primary_key`)',
    delivery: 'exactly once',
    repeats: 'nothing; of each key there is the newest row',
    readers: 'the old content or the new',
    proof: ['sqliteMerge'],
  },
  {
    destination: '`sqlite`',
    mode: '`incremental`, replacing by `replace_scope`',
    delivery: 'exactly once',
    repeats: 'nothing; of each scope there are the rows of the last run that had some',
    readers: 'the old content or the new',
    proof: ['sqliteScope'],
  },
  {
    destination: '`sqlite`',
    mode: '`incremental`, adding or merging, `visibility: batch`',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content, then a growing part of what is added',
    proof: ['sqliteBatch'],
  },
  {
    destination: '`sqlite`',
    mode: '`stream`',
    delivery: 'exactly once',
    repeats: 'nothing',
    readers: 'the old content, then a growing part of what is added',
    proof: ['sqliteStream'],
  },
  {
    destination: '`kafka`',
    mode: '`incremental`',
    delivery: 'exactly once',
    repeats: 'nothing, for readers of what is committed',
    readers: 'the old content, then a growing part of what is added',
    proof: ['kafkaAppend'],
  },
  {
    destination: '`kafka`',
    mode: '`stream`',
    delivery: 'exactly once',
    repeats: 'nothing, for readers of what is committed',
    readers: 'the old content, then a growing part of what is added',
    proof: ['kafkaStream'],
  },
  {
    destination: '`logger`',
    mode: 'every mode',
    delivery: 'at least once',
    repeats: 'after a crash, the records since the last checkpoint',
    readers: 'a log',
    proof: ['logger'],
  },
]

interface Point {
  readonly happened: string
  /** What a process killed here leaves, and what the next one does with it. */
  readonly next: string
}

export const points: { readonly [name: string]: Point } = {
  'run.created': {
    happened: 'the job is in the state store',
    next: 'the job is gone on with; nothing else has happened',
  },
  'recover.truncate': { happened: 'rows that do not count were cut off', next: 'there is nothing left to cut' },
  'recover.cleanup': {
    happened: 'a staging file or table that is not needed was removed',
    next: 'the rest is removed',
  },
  'fetch.before': { happened: 'a page is about to be asked for', next: 'it is asked for again' },
  'fetch.after': { happened: 'a page has come', next: 'it is asked for again, unless it was committed' },
  'pipe.before': {
    happened: 'bizon-extract is about to write a page, or what stands behind it',
    next: 'it is read again',
  },
  'pipe.after': {
    happened: 'bizon-extract has written it; bizon-load may have it or not',
    next: 'bizon-extract goes on where bizon-load stands',
  },
  'put.before': { happened: 'bizon-extract is about to hand a message to a broker', next: 'its pages are read again' },
  'put.mid': {
    happened: 'Kafka has a message, and its transaction is not committed',
    next: 'nobody sees it; its pages are read again',
  },
  'put.after': {
    happened: 'the broker answers for the message',
    next: 'bizon-extract goes on behind it',
  },
  'stage.mid': {
    happened: 'rows were written to the staging file or table, or to a Parquet file without a name',
    next: 'they are cut off or undone, and fetched again',
  },
  'stage.after': {
    happened: 'all rows up to a checkpoint are written',
    next: 'they are cut off or undone, and fetched again',
  },
  'fsync.before': { happened: 'the same', next: 'they are cut off, and fetched again' },
  'fsync.after': {
    happened: 'the rows are on disk, and no state file says so',
    next: 'they are cut off, and fetched again',
  },
  'commit.before': {
    happened: 'the state file or row is about to be written, or a Parquet file to get its name',
    next: 'the commit before it counts',
  },
  'commit.mid': {
    happened: 'the new state file is on disk under a temporary name; the new row is written, COMMIT is not sent',
    next: 'the commit before it counts',
  },
  'commit.after': {
    happened: 'the new state file, or the Parquet file, has its name; COMMIT was answered: committed',
    next: 'the rows are kept, the run goes on behind them',
  },
  'cursor.before': {
    happened: 'the state store does not know of the commit yet',
    next: 'it is told by the destination',
  },
  'cursor.after': { happened: 'the state store knows of the commit', next: 'the run goes on behind it' },
  'ack.before': {
    happened: 'pages that came by a broker are durable, and it is not told',
    next: 'it gives them again; they are passed over',
  },
  'ack.after': { happened: 'the broker knows that they are', next: 'bizon-load is given what comes behind them' },
  'end.received': { happened: 'the source has said that it gave everything', next: 'the last page is fetched again' },
  'publish.before': { happened: 'everything is staged, nothing is published', next: 'it is published' },
  'publish.mid': {
    happened: 'one file, folder or table has been replaced, or added to',
    next: 'what is done is recognised, undone, or done over; the rest is done',
  },
  'ddl.after': {
    happened: 'the table that takes the rows has the columns that they need, COMMIT is not sent',
    next: 'its columns are as they were, and are changed again',
  },
  'publish.after': {
    happened: 'everything is published, and the state file or row says so',
    next: 'the job is finished',
  },
  'cleanup.mid': {
    happened: 'the staging file of an append, or an older folder, is gone',
    next: 'the job is finished',
  },
  'status.before': { happened: 'the job does not count as done yet', next: 'it is finished, without loading anything' },
  'status.after': { happened: 'the job is done', next: 'the next run is a new one' },
}

export function promiseTable(rows = promises): string {
  return table(
    ['Destination', 'Mode', 'Each record is there', 'May be repeated', 'Readers see'],
    rows.map(({ destination, mode, delivery, repeats, readers }) => [destination, mode, delivery, repeats, readers]),
  )
}

export function pointTable(): string {
  return table(
    ['Point', 'What has happened', 'What the next run finds, or does'],
    Object.entries(points).map(([name, { happened, next }]) => [`\`${name}\``, happened, next]),
  )
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('')
}
