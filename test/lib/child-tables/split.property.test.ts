// Any JSON, against a model over parsed values that fits on a screen. Values are compared as they print, so that a number
// that changed in any digit is seen.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { linksOf } from '../../../connectors/destinations/child-tables.ts'
import { withChildTables } from '../../../lib/child-tables.ts'
import { parseJson, stringifyJson } from '../../../lib/json.ts'
import { type Json, type JsonObject, RawJson, type SourceRecord } from '../../../lib/record.ts'
import type { Page } from '../../../lib/source.ts'

const LINKS = linksOf({ metadata: 'bizon' })

const NUMBERS = ['0', '-0', '1.10', '9007199254740993', '1e400', '-12.5E-3', '123456789012345678901234567890']
const NAMES = ['a', 'b', 'c d', 'é', '"', '\\', '😀', 'e__', '', 'n\n']

const space = fc.constantFrom('', '', '', ' ', '\n\t')
const nameText = fc.constantFrom(...NAMES).chain((name) => {
  const plain = JSON.stringify(name)
  const escaped = `"${[...name].map((letter) => escapeOf(letter)).join('')}"`
  return fc.constantFrom(plain, plain, escaped)
})
const escapeOf = (letter: string): string =>
  [...Array(letter.length).keys()].map((at) => `\\u${letter.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')

/** A value as text, and what it is. */
interface Pair {
  readonly text: string
  readonly value: Json
}

const scalar = fc
  .oneof(
    fc.constantFrom('null', 'true', 'false', ...NUMBERS),
    fc.string({ unit: 'binary', maxLength: 5 }).map((text) => JSON.stringify(text)),
    fc.constantFrom('"[{}]"', '"\\u005b\\""', '"\\ud83d\\ude00"'),
  )
  .map((text): Pair => ({ text, value: parseJson(text) }))

const { object } = fc.letrec<{ value: Pair; object: Pair; list: Pair }>((tie) => ({
  value: fc.oneof({ maxDepth: 4, depthIdentifier: 'json' }, scalar, tie('object'), tie('list')),
  object: fc
    .array(fc.tuple(nameText, tie('value'), space), { maxLength: 4, depthIdentifier: 'json' })
    .map((members) => ({
      text: `{${members.map(([name, { text }, gap]) => `${gap}${name}${gap}:${gap}${text}${gap}`).join(',')}}`,
      value: objectFrom(members.map(([name, { value }]) => [JSON.parse(name) as string, value])),
    })),
  list: fc.array(fc.tuple(tie('value'), space), { maxLength: 3, depthIdentifier: 'json' }).map((items) => ({
    text: `[${items.map(([{ text }, gap]) => `${gap}${text}${gap}`).join(',')}]`,
    value: items.map(([{ value }]) => value),
  })),
}))

/** Of members with one name the last counts, at its place. */
function objectFrom(members: readonly (readonly [string, Json])[]): JsonObject {
  const object: Record<string, Json> = {}
  for (const [name, value] of members) {
    delete object[name]
    object[name] = value
  }
  return object
}

interface Row {
  readonly table: string
  readonly text: string
}

/** What rows a record makes, and in which order. `number`: of its first row. */
function rowsOf(record: JsonObject, depth: number, first: number): Row[] {
  const rows: Row[] = []
  const add = (table: string, level: number, links: JsonObject, value: JsonObject, root: string | undefined): void => {
    const id = idOf(first + rows.length)
    const columns: Record<string, Json> = { ...links }
    const lists: [string, readonly Json[], number][] = []
    const flatten = (object: JsonObject, path: string, at: number): void => {
      for (const [name, inner] of Object.entries(object)) {
        const key = path + name
        if (!isNested(inner) || at >= depth) columns[key] = inner
        else if (!Array.isArray(inner)) flatten(inner as JsonObject, `${key}__`, at + 1)
        else lists.push([`${table}__${key}`, inner, at + 1])
      }
    }
    const items = value[ITEMS]
    if (items === undefined) flatten(value, '', level)
    else lists.push([`${table}__list`, items as readonly Json[], level + 1])
    rows.push({ table, text: stringifyJson(columns) })
    for (const [name, list, at] of lists) {
      for (const [index, item] of list.entries()) {
        const own = { _bizon_parent_id: id, _bizon_root_id: root ?? id, _bizon_index: index }
        if (Array.isArray(item) && at < depth) add(name, at, own, { [ITEMS]: item }, root ?? id)
        else if (isNested(item) && !Array.isArray(item)) add(name, at, own, item as JsonObject, root ?? id)
        else add(name, at, { ...own, value: item as Json }, {}, root ?? id)
      }
    }
  }
  add('t', 0, {}, record, undefined)
  return rows
}

/** A list in a list has a row without columns of its own. */
const ITEMS = ' items of a list '
const idOf = (row: number): string => `run${row.toString(16).padStart(16, '0')}`
/** LosslessNumber is an object too. */
const isNested = (value: Json | undefined): boolean =>
  typeof value === 'object' && value !== null && !('isLosslessNumber' in value)

async function split(texts: readonly (string | JsonObject)[], depth: number, rows = 5): Promise<SourceRecord[]> {
  const data = texts.map((text) => (typeof text === 'string' ? RawJson.from(`,${text} `) : text))
  const records = data.map((one, at) => ({
    id: `r${at}`,
    data: one instanceof RawJson ? new RawJson(one.buffer, 1, one.end - 1) : one,
  }))
  async function* pages(): AsyncGenerator<Page> {
    yield { records, next: null }
  }
  const options = { depth, names: {}, links: LINKS, idPrefix: 'run', rows, usual: () => 't' }
  const found: SourceRecord[] = []
  for await (const page of withChildTables(pages(), options)) found.push(...page.records)
  return found
}

const textOf = ({ data }: SourceRecord): string => (data instanceof RawJson ? data.toString() : stringifyJson(data))

/** `__` in names makes two columns one now and then: those are refused, which another test is about. */
async function splitOrClash(...args: Parameters<typeof split>): Promise<SourceRecord[] | undefined> {
  return split(...args).catch((error: Error) => {
    if (/would be for/.test(error.message)) return undefined
    throw error
  })
}

it('makes the rows of any records that the model makes, with every value as it was written', async () => {
  let [compared, children] = [0, 0]
  const property = fc.asyncProperty(
    fc.array(object, { maxLength: 4 }),
    fc.integer({ min: 1, max: 4 }),
    async (records, depth) => {
      const found = await splitOrClash(
        records.map(({ text }) => text),
        depth,
      )
      if (!found) return
      const expected: Row[] = []
      for (const { value } of records) expected.push(...rowsOf(value as JsonObject, depth, 5 + expected.length))
      const rows = found.map((row) => ({
        table: row.destinationId ?? 't',
        text: stringifyJson(sorted(parseJson(textOf(row)))),
      }))
      expect(rows).toEqual(expected.map((row) => ({ ...row, text: stringifyJson(sorted(parseJson(row.text))) })))
      compared += 1
      children += rows.filter(({ table }) => table !== 't').length
    },
  )
  await fc.assert(property, { numRuns: process.env.BIZON_NIGHTLY === undefined ? 600 : 50_000 })
  expect(compared).toBeGreaterThan(300)
  expect(children).toBeGreaterThan(300)
})

it('gives a record without lists and objects back as it is', async () => {
  const flat = fc.array(fc.tuple(nameText, scalar, space), { maxLength: 5 })
  const property = fc.asyncProperty(flat, async (members) => {
    const text = `{${members.map(([name, one, gap]) => `${gap}${name}:${one.text}${gap}`).join(',')}}`
    const [row, ...more] = await split([text], 10)
    expect(more).toEqual([])
    expect([row?.id, row?.destinationId, row && textOf(row)]).toEqual(['r0', undefined, text])
  })
  await fc.assert(property, { numRuns: 300 })
})

it('takes objects as it takes their text', async () => {
  const property = fc.asyncProperty(fc.array(object, { maxLength: 3 }), async (records) => {
    const objects = records.map(({ value }) => value as JsonObject)
    const [fromText, fromObjects] = [
      await splitOrClash(objects.map(stringifyJson), 10),
      await splitOrClash(objects, 10),
    ]
    expect(fromObjects?.map(textOf)).toEqual(fromText?.map(textOf))
  })
  await fc.assert(property, { numRuns: 300 })
})

/** The order of columns says nothing. */
function sorted(value: Json): Json {
  if (!isNested(value)) return value
  if (Array.isArray(value)) return value.map(sorted)
  const entries = Object.entries(value as JsonObject).map(([name, inner]) => [name, sorted(inner)] as const)
  return Object.fromEntries(entries.sort(([one], [other]) => (one < other ? -1 : 1)))
}
