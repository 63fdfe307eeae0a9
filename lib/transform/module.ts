// A transform in a file of its own. Its default export is what scripts hand to `transform()`: it gets the records of a
// page. Or it exports `each`, which gets one record after the other, as inline JavaScript does, and may wait.

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { importModule } from '../custom.ts'
import { BizonError } from '../errors.ts'
import { type JsonObject, RawJson, type SourceRecord, textOf } from '../record.ts'
import type { Transform } from '../transform.ts'
import { orAborted } from '../wait.ts'
import type { TransformConfig } from './config.ts'
import { nameOf, readable } from './numbers.ts'
import { infoOf, type RecordInfo, type Reject, recordsOf, type Script, ScriptError, thrownIn } from './script.ts'

/**
 * Called for each record, in order, one call at a time. May change `data` and `record`. Returns nothing or an object:
 * the record's data; null: the record is dropped; a list: one record for each object in it.
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
  const limited = <T>(work: T | Promise<T>, signal: AbortSignal) => within(timeoutSeconds, work, signal)
  if (typeof each === 'function' && whole === undefined) return perRecord(each as EachRecord, limited, blame)
  if (typeof whole === 'function' && each === undefined) return perPage(whole as Transform, limited, blame)
  const got = whole !== undefined && each !== undefined ? 'both' : 'neither'
  throw new BizonError(
    'transform',
    `transform ${label}: ${path} must export one function, default or each; it exports ${got}`,
  )
}

/** What was thrown, with the line of the module. */
type Blame = (error: unknown) => ScriptError
type Limited = <T>(work: T | Promise<T>, signal: AbortSignal) => Promise<T>

function perRecord(each: EachRecord, limited: Limited, blame: Blame): Script {
  const one = async (given: SourceRecord, signal: AbortSignal): Promise<SourceRecord[]> => {
    const reading = readable(textOf(given.data))
    const info = infoOf(given)
    const result = await limited(each(reading.value as JsonObject, info, signal), signal)
    return recordsOf(result === undefined ? reading.value : result, info, reading)
  }
  return { apply: (records, reject, signal) => oneByOne(records, one, rejectAs(reject, blame), signal) }
}

function perPage(transform: Transform, limited: Limited, blame: Blame): Script {
  const page = async (records: readonly SourceRecord[], signal: AbortSignal): Promise<SourceRecord[]> =>
    checkedRecords(await limited(transform(records, signal), signal))
  return {
    async apply(records, reject, signal) {
      try {
        return await page(records, signal)
      } catch (error) {
        signal.throwIfAborted()
        if (records.length === 1) {
          reject(records[0] as SourceRecord, blame(error))
          return []
        }
        // One of them is to blame: they are tried again, each alone.
        return oneByOne(records, (record, signal) => page([record], signal), rejectAs(reject, blame), signal)
      }
    },
  }
}

const rejectAs =
  (reject: Reject, blame: Blame) =>
  (record: SourceRecord, error: unknown): void =>
    reject(record, blame(error))

async function oneByOne(
  records: readonly SourceRecord[],
  work: (record: SourceRecord, signal: AbortSignal) => Promise<SourceRecord[]>,
  failed: (record: SourceRecord, error: unknown) => void,
  signal: AbortSignal,
): Promise<SourceRecord[]> {
  const made: SourceRecord[] = []
  for (const record of records) {
    try {
      made.push(...(await work(record, signal)))
    } catch (error) {
      signal.throwIfAborted()
      failed(record, error)
    }
  }
  return made
}

async function within<T>(seconds: number, work: T | Promise<T>, signal: AbortSignal): Promise<T> {
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(), seconds * 1000)
  const abort = (): void => over.abort()
  signal.addEventListener('abort', abort)
  try {
    const result = await orAborted(
      Promise.resolve(work).then((value) => ({ value })),
      over.signal,
    )
    signal.throwIfAborted()
    if (result === undefined) throw new ScriptError(`it took longer than ${seconds} s`)
    return result.value
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

function checkedRecords(result: unknown): SourceRecord[] {
  if (!Array.isArray(result)) throw new TypeError(`it returned ${nameOf(result)}; it must return a list of records`)
  for (const record of result as Partial<SourceRecord>[]) {
    if (typeof record?.id !== 'string' || record.id === '') throw new TypeError('it returned a record without an id')
    const { data } = record
    if (!(data instanceof RawJson) && nameOf(data) !== 'an object') {
      throw new TypeError(`it returned a record whose data is ${nameOf(data)}`)
    }
  }
  return result as SourceRecord[]
}
