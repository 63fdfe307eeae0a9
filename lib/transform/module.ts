// A transform in a file of its own. Its default export is what scripts hand to `transform()`: it gets the records of a
// page. Or it exports `each`, which gets one record after the other, as inline JavaScript does, and may wait.

import { resolve } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { importModule } from '../custom.ts'
import { BizonError } from '../errors.ts'
import { type JsonObject, RawJson, type SourceRecord, textOf } from '../record.ts'
import type { Transform } from '../transform.ts'
import { orAborted } from '../wait.ts'
import type { TransformConfig } from './config.ts'
import { HERE, nameOf, type Reading, readable } from './numbers.ts'
import {
  checkedInfo,
  infoOf,
  payloadOf,
  type RecordInfo,
  type Reject,
  recordsOf,
  type Script,
  ScriptError,
  TURN_MS,
  thrownIn,
} from './script.ts'

/**
 * Called for each record, in order, one call at a time. May change `data` and `record`. Returns nothing or an object:
 * the record's data; null: the record is dropped; a list: one record for each object in it. The signal is aborted when
 * the call takes too long, and when the run ends.
 */
export type EachRecord = (
  data: JsonObject,
  record: RecordInfo,
  signal: AbortSignal,
) =>
  | JsonObject
  | readonly JsonObject[]
  | null
  | undefined
  | Promise<JsonObject | readonly JsonObject[] | null | undefined>

/** Imports the file. Rejects if it cannot be, or exports no transform. */
export async function openModule({ label, script: path, timeoutSeconds }: TransformConfig): Promise<Script> {
  if (path.endsWith('.py')) {
    throw new BizonError('config', `transform ${label}: a module is JavaScript or TypeScript, got ${path}`, {
      hint: 'Write Python into the pipeline file, under `python:`.',
    })
  }
  const { default: whole, each } = await importModule(path, 'transform')
  // As stacks have it, after file:// or without.
  const file = pathToFileURL(resolve(path)).pathname
  const blame: Blame = (error) => thrownIn(error, '', file)
  if (typeof each === 'function' && whole === undefined) return perRecord(each as EachRecord, timeoutSeconds, blame)
  if (typeof whole === 'function' && each === undefined) return perPage(whole as Transform, timeoutSeconds, blame)
  const got = whole !== undefined && each !== undefined ? 'both' : 'neither'
  throw new BizonError(
    'transform',
    `transform ${label}: ${path} must export one function, default or each; it exports ${got}`,
  )
}

/** What was thrown, with the line of the module. */
type Blame = (error: unknown) => ScriptError

function perRecord(each: EachRecord, seconds: number, blame: Blame): Script {
  const one = async (given: SourceRecord, calls: Calls): Promise<SourceRecord[]> => {
    const reading = readable(textOf(given.data), HERE)
    const info = infoOf(given, HERE)
    const result = await calls.make((signal) => each(reading.value as JsonObject, info, signal))
    return recordsOf(result === undefined ? reading.value : result, info, reading)
  }
  return {
    apply: (records, reject, signal) =>
      withCalls(seconds, signal, (calls) => oneByOne(records, one, rejectAs(reject, blame), calls)),
  }
}

function perPage(transform: Transform, seconds: number, blame: Blame): Script {
  const page = async (records: readonly SourceRecord[], calls: Calls): Promise<SourceRecord[]> =>
    checkedRecords(await calls.make((signal) => transform(records, signal)), records)
  return {
    apply: (records, reject, signal) =>
      withCalls(seconds, signal, async (calls) => {
        try {
          return await page(records, calls)
        } catch (error) {
          signal.throwIfAborted()
          if (records.length === 1) {
            reject(records[0] as SourceRecord, blame(error))
            return []
          }
          // One of them is to blame: they are tried again, each alone.
          return oneByOne(records, (record, calls) => page([record], calls), rejectAs(reject, blame), calls)
        }
      }),
  }
}

const rejectAs =
  (reject: Reject, blame: Blame) =>
  (record: SourceRecord, error: unknown): void =>
    reject(record, blame(error))

async function oneByOne(
  records: readonly SourceRecord[],
  work: (record: SourceRecord, calls: Calls) => Promise<SourceRecord[]>,
  failed: (record: SourceRecord, error: unknown) => void,
  calls: Calls,
): Promise<SourceRecord[]> {
  const made: SourceRecord[] = []
  let over = performance.now() + TURN_MS
  for (const record of records) {
    try {
      for (const one of await work(record, calls)) made.push(one)
    } catch (error) {
      calls.signal.throwIfAborted()
      failed(record, error)
    }
    if (performance.now() < over) continue
    await nextTurn()
    calls.signal.throwIfAborted()
    over = performance.now() + TURN_MS
  }
  return made
}

async function withCalls<T>(seconds: number, signal: AbortSignal, work: (calls: Calls) => Promise<T>): Promise<T> {
  const calls = new Calls(seconds, signal)
  try {
    return await work(calls)
  } finally {
    calls.end()
  }
}

/** Calls of the module's function for one page, one after the other, each with the whole time limit. */
class Calls {
  readonly signal: AbortSignal
  readonly #seconds: number
  /** Aborted when the run is, or when the time of a call is over, and then another one for the next. */
  #over = new AbortController()
  readonly #abort = (): void => this.#over.abort(this.signal.reason)

  constructor(seconds: number, signal: AbortSignal) {
    this.#seconds = seconds
    this.signal = signal
    signal.addEventListener('abort', this.#abort)
  }

  async make<T>(call: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    const given = call(this.#over.signal)
    if (!isThenable(given)) return given
    const over = this.#over
    const late = (): void => over.abort(new ScriptError(`it took longer than ${this.#seconds} s`))
    const timer = setTimeout(late, this.#seconds * 1000)
    try {
      const result = await orAborted(
        Promise.resolve(given).then((value) => ({ value })),
        over.signal,
      )
      this.signal.throwIfAborted()
      if (result !== undefined) return result.value
      this.#over = new AbortController()
      throw over.signal.reason
    } finally {
      clearTimeout(timer)
    }
  }

  end(): void {
    this.signal.removeEventListener('abort', this.#abort)
  }
}

function isThenable<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { readonly then?: unknown } | null | undefined)?.then === 'function'
}

/** Those that it was given are good already. */
function checkedRecords(result: unknown, given: readonly SourceRecord[]): SourceRecord[] {
  if (!Array.isArray(result)) throw new TypeError(`it returned ${nameOf(result)}; it must return a list of records`)
  const known = new Set<unknown>(given)
  return result.map((record) => (known.has(record) ? record : checkedRecord(record)))
}

function checkedRecord(record: Partial<SourceRecord> | null | undefined): SourceRecord {
  if (typeof record?.id !== 'string' || record.id === '') throw new TypeError('it returned a record without an id')
  const { id, timestamp, destinationId, data } = record
  const info = checkedInfo({ id, timestamp, destinationId })
  if (data instanceof RawJson) return { ...info, data }
  if (nameOf(data) !== 'an object') throw new TypeError(`it returned a record whose data is ${nameOf(data)}`)
  return { ...info, data: payloadOf(data, 'it returned a record whose data is', PLAIN) }
}

/** Of data that was not read for a script. */
const PLAIN: Reading = { value: undefined, origin: undefined }
