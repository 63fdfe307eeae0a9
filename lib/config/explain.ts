// What zod found, in our words: what was expected, what is there, what was probably meant.

import * as z from 'zod'
import { nearest } from '../suggest.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { leavesAt, valueAt } from './zod.ts'

type Issue = z.core.$ZodIssue

/** Stands where a schema has no message of its own. */
export const UNSAID = '\u0000'

/** Reports one issue of `schema` about `input`, which is the part of the config at `path`. */
export function explain(issue: Issue, schema: z.ZodType, input: unknown, path: ConfigPath, problems: Problems): void {
  const inside = [...issue.path] as (string | number)[]
  const place = [...path, ...inside]
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) problems.add([...place, key], 'unknown key', { part: 'key' })
    return
  }
  if (issue.code === 'invalid_union' && issue.message === UNSAID) {
    const branch = issue.errors.find((issues) => issues.length > 0 && issues.every((one) => one.path.length > 0))
    if (branch) {
      for (const one of branch) explain({ ...one, path: [...issue.path, ...one.path] }, schema, input, path, problems)
      return
    }
  }
  const value = valueAt(input, inside)
  if (issue.message !== UNSAID) problems.add(place, problems.scrub(issue.message))
  else problems.add(place, sentence(issue, leavesAt([schema], inside, input), value, place, problems))
}

function sentence(issue: Issue, leaves: z.ZodType[], value: unknown, path: ConfigPath, problems: Problems): string {
  const words = leaves.flatMap(wordsOf)
  const phrases = [oneOf(words), ...leaves.map(phrase)].filter((text) => text !== undefined)
  const expected = [...new Set(phrases)].join(' or ')
  if (value === undefined && issue.code !== 'custom')
    return words.length > 1 ? `is required: ${expected}` : 'is required'
  const got = `got ${problems.show(path, value)}`
  switch (issue.code) {
    case 'invalid_type':
    case 'invalid_union':
    case 'invalid_value':
      return `expected ${expected || 'something else'}, ${got}${meant(leaves, value, path, problems)}`
    case 'too_small':
    case 'too_big':
      if (issue.origin === 'string' || issue.origin === 'array') return length(issue)
      return `expected ${expected || 'another size'}, ${got}`
    case 'invalid_format':
      if (issue.format === 'regex') return `does not match ${issue.pattern ?? 'the pattern'}, ${got}`
      return `expected a valid ${issue.format}, ${got}`
    case 'not_multiple_of':
      return `expected a multiple of ${issue.divisor}, ${got}`
    default:
      return `is not valid, ${got}`
  }
}

/** What a value must be, as it reads after "expected". */
function phrase(leaf: z.ZodType): string | undefined {
  if (leaf instanceof z.ZodNumber) return numberPhrase(leaf)
  if (leaf instanceof z.ZodString) return 'a string'
  if (leaf instanceof z.ZodBoolean) return 'true or false'
  if (leaf instanceof z.ZodArray || leaf instanceof z.ZodTuple) return 'a list'
  if (leaf instanceof z.ZodObject || leaf instanceof z.ZodRecord) return 'a mapping'
  if (leaf instanceof z.ZodDate) return 'a date'
  if (leaf instanceof z.ZodNull) return 'nothing'
  return undefined
}

function oneOf(words: readonly unknown[]): string | undefined {
  if (words.length > 1) return `one of ${words.join(', ')}`
  return words.length === 1 ? JSON.stringify(words[0]) : undefined
}

/** The allowed values of an enumeration or a constant. */
function wordsOf(leaf: z.ZodType): readonly unknown[] {
  if (leaf instanceof z.ZodEnum) return leaf.options
  return leaf instanceof z.ZodLiteral ? [...leaf.values] : []
}

function numberPhrase(leaf: z.ZodNumber): string {
  const kind = leaf.isInt ? 'an integer' : 'a number'
  let least: number | undefined
  let most: number | undefined
  let above: number | undefined
  for (const { _zod } of leaf.def.checks ?? []) {
    const check = _zod.def as { check: string; value?: unknown; inclusive?: boolean }
    if (typeof check.value !== 'number') continue
    if (check.check === 'less_than') most = check.inclusive || !leaf.isInt ? check.value : check.value - 1
    if (check.check !== 'greater_than') continue
    if (check.inclusive) least = check.value
    else if (leaf.isInt) least = check.value + 1
    else above = check.value
  }
  if (least !== undefined && most !== undefined) return `${kind} from ${least} to ${most}`
  if (above !== undefined) return `${kind} above ${above}${most === undefined ? '' : `, at most ${most}`}`
  if (least !== undefined) return `${kind} of ${least} or more`
  return most === undefined ? kind : `${kind} of at most ${most}`
}

function length({ origin, ...issue }: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const unit = origin === 'string' ? 'characters' : 'entries'
  if (issue.code === 'too_big') return `expected at most ${issue.maximum} ${unit}`
  return issue.minimum === 1 ? 'must not be empty' : `expected at least ${issue.minimum} ${unit}`
}

function meant(leaves: readonly z.ZodType[], value: unknown, path: ConfigPath, problems: Problems): string {
  if (problems.isHidden(path)) return ''
  if (typeof value === 'string') {
    const words = leaves.flatMap(wordsOf).filter((word) => typeof word === 'string')
    const near = nearest(value, words)
    return near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`
  }
  const isPlain = typeof value === 'number' || typeof value === 'boolean' || value instanceof Date
  return isPlain && leaves.some((leaf) => leaf instanceof z.ZodString) ? '; write it in quotes' : ''
}
