// The pages of a source that nobody type-checked: each is looked at before it goes on, so that a slip is told where it
// was made and not by whatever stumbles over it later.

import { blame } from '../custom.ts'
import { BizonError } from '../errors.ts'
import { RawJson } from '../record.ts'
import type { Page } from '../source.ts'

/** The pages that `read` gives; throws, naming the page and the record, at the first that is not as promised. */
export async function* checkedPages(
  read: () => unknown,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<Page, void, void> {
  try {
    const pages = read()
    if (!isAsyncIterable(pages)) throw wrong(path, `read() gave ${kindOf(pages)}; it must be \`async *read(…)\``)
    let number = 0
    for await (const page of pages) {
      number++
      const problem = pageProblem(page)
      if (problem !== undefined) throw wrong(path, `page ${number}${problem}`)
      yield page as Page
    }
  } catch (error) {
    throw signal.aborted ? error : blame(error, path, 'source')
  }
}

function wrong(path: string, problem: string): BizonError {
  return new BizonError('source', `${path}: ${problem}`)
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

/** What is wrong with a page, as it reads after "page 3"; undefined when nothing is. */
export function pageProblem(page: unknown): string | undefined {
  if (!isPlain(page)) return ` is ${kindOf(page)} where { records, next } was expected`
  if (!Array.isArray(page.records)) return ` has ${has(page, 'records')} where a list of records was expected`
  if (page.next === undefined)
    return ' does not say what follows: `next` is the position after it, or null on the last page'
  if (page.next !== null && !isPlain(page.next))
    return ` has ${has(page, 'next')} where a position, an object like { page: 2 }, or null was expected`
  const unsafe = page.next && notJson(page.next)
  if (unsafe) return `: its position cannot be kept as JSON: ${unsafe}`
  const lost = page.watermark !== undefined && notJson(page.watermark)
  if (lost) return `: its watermark cannot be kept as JSON: ${lost}`
  for (const [index, record] of page.records.entries()) {
    const problem = recordProblem(record)
    if (problem !== undefined) return `, record ${index + 1}${problem}`
  }
  return undefined
}

function recordProblem(record: unknown): string | undefined {
  if (!isPlain(record)) return ` is ${kindOf(record)} where { id, data } was expected`
  const { id, data, timestamp, destinationId } = record
  if (typeof id !== 'string') return ` has ${has(record, 'id')} where a string was expected: \`id: String(…)\``
  if (!isPlain(data) && !(data instanceof RawJson))
    return ` has ${has(record, 'data')} where an object or RawJson was expected`
  if (timestamp !== undefined && typeof timestamp !== 'string') {
    if (!(timestamp instanceof Date)) return ` has ${has(record, 'timestamp')} where a Date or a string was expected`
    if (Number.isNaN(timestamp.getTime())) return ' has a "timestamp" that is an invalid Date'
  }
  if (destinationId !== undefined && typeof destinationId !== 'string')
    return ` has ${has(record, 'destinationId')} where a string was expected`
  return undefined
}

function has(holder: Readonly<Record<string, unknown>>, key: string): string {
  return holder[key] === undefined ? `no "${key}"` : `${kindOf(holder[key])} as "${key}"`
}

/** The first thing in a position or watermark that would come back from JSON as something else. */
function notJson(value: unknown, at = 'it'): string | undefined {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return undefined
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `${at} is ${value}`
  if (!Array.isArray(value) && !isPlain(value)) return `${at} is ${kindOf(value)}`
  for (const [key, inner] of Object.entries(value)) {
    const problem = notJson(inner, key)
    if (problem !== undefined) return problem
  }
  return undefined
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Date) &&
    !(value instanceof Promise) &&
    !(value instanceof RawJson)
  )
}

/** A value by its kind, as it reads in a sentence. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (value instanceof Date) return 'a Date'
  if (value instanceof Promise) return 'a promise'
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'function') return /^class\b/.test(String(value)) ? 'a class' : 'a function'
  return `a ${typeof value}`
}
