// What all kinds of scripts have in common: how they are applied, how they fail, and what becomes of their results.

import { BizonError } from '../errors.ts'
import { RawJson, type SourceRecord } from '../record.ts'
import { parseTime } from '../time.ts'
import { nameOf, printed, type Reading, type Realm } from './numbers.ts'

/** A script that is ready to work. */
export interface Script {
  /**
   * The records that the script makes of these, in their order. A record it fails on is handed to `reject`, which
   * throws if that ends the run. Other failures reject: the script cannot go on then.
   */
  apply(records: readonly SourceRecord[], reject: Reject, signal: AbortSignal): Promise<SourceRecord[]>
  /** Always called. Safe twice. */
  close?(): Promise<void>
}

/** How long a script works before timers and signals have their turn. */
export const TURN_MS = 50

export type Reject = (record: SourceRecord, error: ScriptError) => void

/** Why a script failed on a record, and where. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError'
  /** From 1, in the script as the config has it. */
  readonly line: number | undefined
  /** The text of that line. */
  readonly source: string | undefined

  constructor(reason: string, place: { line?: number | undefined; source?: string | undefined } = {}) {
    super(reason)
    this.line = place.line
    this.source = place.source?.trim() || undefined
  }

  /** The reason and the place in one line. */
  get summary(): string {
    return `${this.message}${this.source === undefined ? '' : ` in: ${this.source}`}`
  }
}

/** A script that cannot be used at all. */
export function brokenScript(label: string, error: ScriptError): BizonError {
  const place = error.line === undefined ? '' : `, line ${error.line}`
  return new BizonError('transform', `transform ${label}${place}: ${error.summary}`, {
    hint: 'Correct the script, then try it: bizon transform try <FILENAME> < sample.ndjson',
  })
}

/** What a script in JavaScript sees of a record besides its data, and may change. */
export interface RecordInfo {
  id: string
  timestamp: Date | string | undefined
  destinationId: string | undefined
}

export function infoOf({ id, timestamp, destinationId }: SourceRecord, realm: Realm): RecordInfo {
  // A source may give one Date to many records.
  return { id, timestamp: timestamp instanceof Date ? new realm.Date(timestamp) : timestamp, destinationId }
}

/**
 * The records that a result stands for: null none, an object one, a list one each, with the ids `<id>:1`, `<id>:2`
 * and so on. Throws a TypeError for anything else.
 */
export function recordsOf(result: unknown, info: RecordInfo, reading: Reading): SourceRecord[] {
  if (result === null) return []
  const rest = checkedInfo(info)
  if (!Array.isArray(result)) return [{ ...rest, data: payloadOf(result, 'it returned', reading) }]
  return result.map((item, at) => ({
    ...rest,
    id: partId(rest.id, at),
    data: payloadOf(item, 'it returned a list with', reading),
  }))
}

/** The id of one of several records that came of one; the first is 1. */
export function partId(id: string, at: number): string {
  return `${id}:${at + 1}`
}

/** An object as JSON text; throws a TypeError that begins with `what` for anything else. */
export function payloadOf(value: unknown, what: string, reading: Reading): RawJson {
  const text = nameOf(value) === 'an object' ? printed(value, reading) : ''
  if (text.startsWith('{')) return RawJson.from(text)
  const got = text === '' ? nameOf(value) : text
  throw new TypeError(`${what} ${got}; a record is an object, null drops it, a list of objects makes several`)
}

/** What a script made of it; throws a TypeError when it is not valid. */
export function checkedInfo({ id, timestamp, destinationId }: RecordInfo): Omit<SourceRecord, 'data'> {
  if (typeof id !== 'string' || id === '') throw new TypeError(`record.id must be text, got ${nameOf(id)}`)
  if (!isAbsent(destinationId) && (typeof destinationId !== 'string' || destinationId === '')) {
    throw new TypeError(`record.destinationId must be text, got ${nameOf(destinationId)}`)
  }
  if (!isAbsent(timestamp) && !isTime(timestamp)) {
    const got = typeof timestamp === 'string' ? JSON.stringify(timestamp) : nameOf(timestamp)
    throw new TypeError(`record.timestamp must be a Date or RFC 3339 text, got ${got}`)
  }
  return {
    id,
    ...(!isAbsent(timestamp) && { timestamp: typeof timestamp === 'string' ? timestamp : new Date(timestamp) }),
    ...(!isAbsent(destinationId) && { destinationId }),
  }
}

const isAbsent = (value: unknown): value is undefined | null => value === undefined || value === null

/** A script's Date is of another realm than ours. */
function isTime(value: unknown): boolean {
  if (typeof value === 'string') return parseTime(value) !== undefined
  return nameOf(value) === 'a Date' && !Number.isNaN(Number(value))
}

/** One line, as NDJSON needs it: line breaks in valid JSON are white space. */
export function oneLine(text: string): string {
  return /[\r\n]/.test(text) ? text.replace(/[\r\n]/g, ' ') : text
}

/** What was thrown in a script, also in another realm: its kind, its message, its line. */
export function thrownIn(error: unknown, script: string, file: string): ScriptError {
  if (error instanceof ScriptError) return error
  if (typeof error !== 'object' || error === null) return new ScriptError(`it threw ${String(error)}`)
  const { name, message, stack } = error as Partial<Error>
  const reason = message === undefined ? `it threw ${nameOf(error)}` : `${name ?? 'Error'}: ${message}`
  const at = String(stack ?? '').indexOf(`${file}:`)
  const line = at < 0 ? undefined : Number.parseInt(String(stack).slice(at + file.length + 1), 10)
  return new ScriptError(reason, { line, source: line === undefined ? undefined : script.split('\n')[line - 1] })
}
