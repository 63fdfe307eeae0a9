// Which rows of a range it is. Two sums are known of the range as it was, one of them with each digest times the number of
// its row: that names one row that was changed, and two that exchanged their values.

import type { Difference } from './compare.ts'
import { createDigester, type Digest } from './digest.ts'
import type { Part } from './expected.ts'
import type { Keeps } from './reader.ts'

/** A row of a range. */
export interface Found extends Digest {
  readonly number: number
  readonly value: Digest
  readonly id?: Digest
  readonly record?: string
}

/** Each pair of larger ranges would take too long to try. */
const MOST_PAIRED = 4096

export function locate(
  place: string,
  { part, rows, found = [] }: { readonly part: Part; readonly rows: number; readonly found?: readonly Found[] },
  keeps: Keeps,
): Difference[] {
  const about = { place, run: part.run.id }
  const range: [number, number] = [part.from + 1, part.to]
  if (keeps.of !== 'records' && !keeps.ids) {
    if (part.rows === rows) return [changedIn(part, found, about) ?? { ...about, kind: 'differs', range, count: 1 }]
    return [{ ...about, kind: rows < part.rows ? 'missing' : 'surplus', range, count: Math.abs(part.rows - rows) }]
  }
  const differences: Difference[] = []
  const unique = new Map<number, Found>()
  const doubled = new Map<number, Found>()
  for (const row of found) {
    if (unique.has(row.number)) doubled.set(row.number, row)
    else unique.set(row.number, row)
  }
  if (!part.digest) {
    const count = Math.abs(part.rows - rows)
    return [{ ...about, kind: rows < part.rows ? 'missing' : 'surplus', range, count }]
  }
  if (doubled.size > 0) differences.push({ ...about, kind: 'doubled', ...named([...doubled.values()]) })
  const lost = part.rows - unique.size
  if (lost > 0) {
    const isAlone = part.to - part.from === part.rows
    const numbers = isAlone ? numbersOf(part).filter((number) => !unique.has(number)) : []
    const rowsOf = numbers.length > 0 && numbers.length <= MOST_NAMED ? { rows: numbers.map((n) => n + 1) } : { range }
    differences.push({ ...about, kind: 'missing', count: lost, ...rowsOf })
  } else {
    const one = changedIn(part, [...unique.values()], about)
    if (one) differences.push(one)
  }
  return differences.length > 0 ? differences : [{ ...about, kind: 'differs', range, count: 1 }]
}

const MOST_NAMED = 20

const numbersOf = ({ from, to }: Part): number[] => Array.from({ length: to - from }, (_, at) => from + at)

function named(rows: readonly Found[]): Pick<Difference, 'rows' | 'records' | 'count'> {
  const some = rows.slice(0, MOST_NAMED)
  const records = some.flatMap(({ record }) => (record === undefined ? [] : [record]))
  return { count: rows.length, rows: some.map(({ number }) => number + 1), ...(records.length > 0 && { records }) }
}

/** All rows are there: which of them is not as it was. Undefined: none differs. */
function changedIn(
  { digest, weighted, from, to }: Part,
  rows: readonly Found[],
  about: Pick<Difference, 'place' | 'run'>,
): Difference | undefined {
  const sum = { a: 0, b: 0, weightedA: 0, weightedB: 0 }
  for (const { number, a, b } of rows) {
    sum.a = (sum.a + a) | 0
    sum.b = (sum.b + b) | 0
    sum.weightedA = (sum.weightedA + Math.imul(a, number)) | 0
    sum.weightedB = (sum.weightedB + Math.imul(b, number)) | 0
  }
  const range: [number, number] = [from + 1, to]
  if (!digest || !weighted) {
    const same = digest?.a === sum.a && digest.b === sum.b
    return same ? undefined : { ...about, kind: 'differs', range, count: 1 }
  }
  const off = { a: (digest.a - sum.a) | 0, b: (digest.b - sum.b) | 0 }
  const weightedOff = { a: (weighted.a - sum.weightedA) | 0, b: (weighted.b - sum.weightedB) | 0 }
  if (off.a === 0 && off.b === 0 && weightedOff.a === 0 && weightedOff.b === 0) return undefined
  const one = rows.filter(
    ({ number }) => Math.imul(number, off.a) === weightedOff.a && Math.imul(number, off.b) === weightedOff.b,
  )
  if (one.length === 1 && (off.a !== 0 || off.b !== 0)) return { ...about, kind: 'changed', ...named(one) }
  const pair = rows.length <= MOST_PAIRED ? exchanged(rows, off, weightedOff) : undefined
  if (pair) return { ...about, kind: 'exchanged', ...named(pair) }
  return { ...about, kind: 'differs', range, count: 1 }
}

/** The two rows that, with each other's values, make the sums right. */
function exchanged(rows: readonly Found[], off: Digest, weightedOff: Digest): Found[] | undefined {
  const digester = createDigester()
  const whole = ({ id }: Found, { value }: Found): Digest => {
    if (!id) return value
    digester.together(id, value)
    return { a: digester.a, b: digester.b }
  }
  for (const [at, one] of rows.entries()) {
    for (let next = at + 1; next < rows.length; next++) {
      const other = rows[next] as Found
      const [first, second] = [whole(one, other), whole(other, one)]
      if (((first.a + second.a - one.a - other.a) | 0) !== off.a) continue
      const weightedA =
        (Math.imul(one.number, (first.a - one.a) | 0) + Math.imul(other.number, (second.a - other.a) | 0)) | 0
      if (weightedA === weightedOff.a && ((first.b + second.b - one.b - other.b) | 0) === off.b) return [one, other]
    }
  }
  return undefined
}
