// Columns that become others, which SQLite has no statement for: a new table, made by the statement of the old one but for
// their types, takes its rows and then its place, with its indexes and triggers. Views name it, and go on doing so.

import { BizonError } from '../../../lib/errors.ts'
import { isKeyIndex } from './merge.ts'
import { foldName, quoteName } from './names.ts'
import type { Session } from './session.ts'
import { belongingsOf, type FoundTable, listOf, swallowed } from './tables.ts'

export interface Turned {
  readonly name: string
  readonly type: string
  /** What is put there of a row as it was. */
  readonly value: string
}

/** Within the transaction. Indexes of a primary_key are not made again. */
export async function turnColumns(session: Session, found: FoundTable, turned: readonly Turned[]): Promise<void> {
  const { name: table, columns } = found
  const body = bodyWith(found, turned)
  const [name, fresh] = [quoteName(table), quoteName(`${table}__bizon_turned`)]
  const belongings = await belongingsOf(session, table)
  await session.change(`CREATE TABLE ${fresh} ${body}`)
  const kept = columns.filter(({ computed }) => !computed)
  const values = kept.map((column) => turned.find(isNamed(column.name))?.value ?? quoteName(column.name))
  // In the order of the rows, which says what came later.
  const sent = await session.change(
    `INSERT INTO ${fresh} (${listOf(kept)}) SELECT ${values.join(', ')} FROM ${name} NOT INDEXED`,
  )
  const [count] = await session.read(`SELECT count(*) AS count FROM ${name}`)
  if (Number(count?.count) !== sent) throw swallowed(table, sent, Number(count?.count))
  await session.change(`DROP TABLE ${name}`)
  await session.change(`ALTER TABLE ${fresh} RENAME TO ${name}`)
  for (const { name: own, sql } of belongings) if (!isKeyIndex(table, own)) await session.change(sql)
}

/** Rejects when something of the table stands in the way, which would be lost, or would read numbers where there are none. */
export function checkTurn(found: FoundTable, names: readonly string[]): void {
  bodyWith(
    found,
    names.map((name) => ({ name, type: 'TEXT' })),
  )
}

const isNamed =
  (name: string) =>
  (other: { readonly name: string }): boolean =>
    foldName(other.name) === foldName(name)

/** CREATE TABLE from its parenthesis on, with other types. */
function bodyWith({ name: table, sql }: FoundTable, turned: readonly Pick<Turned, 'name' | 'type'>[]): string {
  const tokens = tokensOf(sql)
  const open = tokens.findIndex(({ text }) => text === '(')
  const definitions = definitionsFrom(tokens, open + 1)
  const changes: { readonly from: number; readonly to: number; readonly type: string }[] = []
  for (const { name, type } of turned) {
    const own = definitions.find(([first]) => first !== undefined && isCalled(first, name))
    if (!own) throw inTheWay(table, name, 'a definition that is not understood')
    const end = own.findIndex(({ text }, at) => at > 0 && CONSTRAINTS.has(text.toUpperCase()))
    const [typed, constraints] = end < 0 ? [own, []] : [own.slice(0, end), own.slice(end)]
    const bar = constraints.find(({ text, depth }) => depth === 1 && BARS.has(text.toUpperCase()))
    if (bar) throw inTheWay(table, name, textOf(sql, own))
    const other = definitions.find((tokens) => tokens !== own && tokens.some((token) => isCalled(token, name)))
    if (other) throw inTheWay(table, name, textOf(sql, other))
    const counting = definitions.find((tokens) => tokens.some(({ text }) => text.toUpperCase() === 'AUTOINCREMENT'))
    if (counting) throw inTheWay(table, name, textOf(sql, counting))
    const [first, last] = [typed[0] as Token, typed.at(-1) as Token]
    changes.push({ from: first.end, to: last.end, type: ` ${type}` })
  }
  changes.sort((one, other) => other.from - one.from)
  const from = (tokens[open] as Token).start
  return changes.reduce((text, { from, to, type }) => text.slice(0, from) + type + text.slice(to), sql).slice(from)
}

/** What may stand behind the type of a column. */
const CONSTRAINTS = new Set(
  'CONSTRAINT PRIMARY NOT NULL UNIQUE CHECK DEFAULT COLLATE REFERENCES GENERATED AS'.split(' '),
)
/** Of these, what would be another with another type. */
const BARS = new Set('PRIMARY UNIQUE CHECK COLLATE REFERENCES GENERATED AS'.split(' '))

interface Token {
  readonly text: string
  readonly start: number
  readonly end: number
  /** How many parentheses are open around it. */
  readonly depth: number
}

const TOKEN =
  /\s+|--[^\n]*|\/\*[\s\S]*?\*\/|("(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|'(?:[^']|'')*'|[\w$\u0080-\uffff]+|[\s\S])/gy

function tokensOf(sql: string): Token[] {
  let depth = 0
  return [...sql.matchAll(TOKEN)].flatMap(({ 1: text, index: start }) => {
    if (text === undefined) return []
    if (text === ')') depth--
    const token = { text, start, end: start + text.length, depth }
    if (text === '(') depth++
    return [token]
  })
}

/** Columns, then what holds for the table: the tokens of each. */
function definitionsFrom(tokens: readonly Token[], from: number): Token[][] {
  const definitions: Token[][] = [[]]
  for (const token of tokens.slice(from)) {
    if (token.depth === 0) break
    if (token.text === ',' && token.depth === 1) definitions.push([])
    else definitions.at(-1)?.push(token)
  }
  return definitions
}

function isCalled({ text }: Token, name: string): boolean {
  const quote = text[0] as string
  const bare = '"`'.includes(quote)
    ? text.slice(1, -1).replaceAll(quote + quote, quote)
    : quote === '['
      ? text.slice(1, -1)
      : text
  return foldName(bare) === foldName(name)
}

const textOf = (sql: string, tokens: readonly Token[]): string =>
  sql.slice(tokens[0]?.start, tokens.at(-1)?.end).replaceAll(/\s+/g, ' ')

function inTheWay(table: string, name: string, what: string): BizonError {
  return new BizonError(
    'destination',
    `table ${table}: column ${name} would become TEXT, to keep every digit, and in the way is: ${what}`,
    {
      hint: 'Take it out of the table, then run again. Or correct the values in a transform; on_schema_change: fail stops at each. Or drop the table, and run with --reset.',
    },
  )
}
