// What two runs have left, compared by their rows: as sums first, and where these differ row by row.

import { createDigester } from '../audit/digest.ts'
import type { Reader } from '../audit/reader.ts'

export interface Content {
  readonly rows: number
  /** Of each target, in their order. */
  readonly sums: readonly string[]
}

export interface Losses {
  readonly lost: number
  readonly doubled: number
  readonly changed: number
}

/** `ids`: destination ids of the targets. */
export async function contentOf(reader: Reader, ids: readonly string[], signal: AbortSignal): Promise<Content> {
  let rows = 0
  const sums: string[] = []
  for (const id of ids) {
    let [count, a, b] = [0, 0, 0]
    for await (const digest of digestsOf(reader, id, signal)) {
      count += 1
      a = (a + digest.a) | 0
      b = (b + digest.b) | 0
    }
    rows += count
    sums.push(`${count} ${a} ${b}`)
  }
  return { rows, sums }
}

export const isSame = (one: Content, other: Content): boolean => String(one.sums) === String(other.sums)

/** Whether each target has as many rows. */
export const isAsMany = (one: Content, other: Content): boolean => String(countsOf(one)) === String(countsOf(other))

const countsOf = ({ sums }: Content): (string | undefined)[] => sums.map((sum) => sum.split(' ')[0])

/** Row by row: `found` against what is `right`. Each has ids of its own for the same targets. */
export async function lossesOf(
  right: { readonly reader: Reader; readonly ids: readonly string[] },
  found: { readonly reader: Reader; readonly ids: readonly string[] },
  signal: AbortSignal,
): Promise<Losses> {
  let [lost, doubled, changed] = [0, 0, 0]
  for (const [at, id] of right.ids.entries()) {
    const left = new Map<string, number>()
    for await (const { a, b } of digestsOf(right.reader, id, signal)) {
      left.set(`${a} ${b}`, (left.get(`${a} ${b}`) ?? 0) + 1)
    }
    let strange = 0
    for await (const { a, b } of digestsOf(found.reader, found.ids[at] as string, signal)) {
      const key = `${a} ${b}`
      const count = left.get(key)
      if (count === undefined) strange += 1
      else if (count === 0) doubled += 1
      else left.set(key, count - 1)
    }
    const missing = [...left.values()].reduce((sum, count) => sum + count, 0)
    changed += strange
    lost += Math.max(0, missing - strange)
  }
  return { lost, doubled, changed }
}

async function* digestsOf(reader: Reader, id: string, signal: AbortSignal) {
  const digester = createDigester()
  for await (const rows of reader.read(id, signal)) {
    for (const { recordId = '', data } of rows) {
      if (data) digester.record(recordId, data)
      else Object.assign(digester, { a: 1, b: 1 })
      yield { a: digester.a, b: digester.b }
    }
  }
}
