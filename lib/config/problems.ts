// What is wrong with a config, collected so that all of it is told at once: one line per place, in the order of the file.
// A value that came from a reference is shown as the reference, never as what it stands for.

import { BizonError } from '../errors.ts'
import { REDACTED } from '../redact.ts'
import type { InvalidKeyOptions } from './invalid-key.ts'

/** Where in the config: keys and list indexes from the top. */
export type ConfigPath = readonly (string | number)[]

export interface Place {
  readonly line: number
  readonly column: number
  /** How a value that is no text was written. */
  readonly source?: string
}

/** Finds the place of a value or of its key in the file; undefined when the config did not come from one. */
export type Locate = (path: ConfigPath, part: 'key' | 'value') => Place | undefined

interface Problem {
  readonly path: string
  readonly text: string
  readonly flag: string | undefined
  readonly place: Place | undefined
}

export interface ProblemOptions {
  /** What to point at. Default: the value. */
  readonly part?: 'key' | 'value'
  /** What to do about it; the first one is printed after the list. */
  readonly hint?: string | undefined
  /** Where, when the path does not tell. */
  readonly place?: Place
}

const SHOWN_CHARACTERS = 60
/** Names of keys whose values are secret, wherever they came from. */
export const SECRET_KEY =
  /pass(word|wd|phrase)?$|secret|token$|api[_-]?key|^authorization$|credential|private_key|webhook_url/i

export class Problems {
  readonly #file: string
  readonly #locate: Locate
  readonly #flags: ReadonlyMap<string, string>
  readonly #found = new Map<string, Problem>()
  readonly #warnings = new Map<string, Problem>()
  readonly #hints: string[] = []
  readonly #following = new Set<string>()
  #references: ReadonlyMap<string, string> = new Map()
  #scrub: (text: string) => string = (text) => text

  /** `flags` maps a path to the command-line option that set it. */
  constructor(file: string, locate: Locate, flags: ReadonlyMap<string, string> = new Map()) {
    this.#file = file
    this.#locate = locate
    this.#flags = flags
  }

  /** From here on values at these paths are shown as the text with references that they came from. */
  hide(references: ReadonlyMap<string, string>, scrub: (text: string) => string): void {
    this.#references = references
    this.#scrub = scrub
  }

  /** One problem per path: what follows from the first is not told. */
  add(path: ConfigPath, text: string, { part = 'value', hint, place }: ProblemOptions = {}): void {
    if (this.has(path) || path.some((_, i) => this.#following.has(pathText(path.slice(0, i + 1))))) return
    this.#found.set(pathText(path), this.#problem(path, this.#withReference(path, text, part), part, place))
    if (hint !== undefined) this.#hints.push(hint)
  }

  /** An error about one key of a config that was valid so far, in the same words. */
  said(path: ConfigPath, text: string, { part = 'value', hint, shown, cause }: InvalidKeyOptions = {}): BizonError {
    const isShown = shown === undefined || shown === '' || !this.isHidden(path)
    const plain = isShown
      ? text
      : text
          .split(JSON.stringify(shown))
          .map((piece) => piece.replaceAll(shown, REDACTED))
          .join(this.show(path, shown))
    const full = this.#withReference(path, this.#scrub(plain), part)
    return new BizonError('config', this.#line(this.#problem(path, full, part)), { hint, cause })
  }

  #withReference(path: ConfigPath, text: string, part: 'key' | 'value'): string {
    const reference = this.#references.get(pathText(path))
    const isNamed = reference === undefined || part === 'key' || text.includes(reference)
    return isNamed ? text : `${text} (it is what ${shorten(reference)} stands for)`
  }

  /** Worth telling, and no reason to stop: one per path. */
  warn(path: ConfigPath, text: string, { part = 'value', place }: ProblemOptions = {}): void {
    this.#warnings.set(pathText(path), this.#problem(path, text, part, place))
  }

  /** The lines of all warnings, in the order of the file. */
  warnings(): readonly string[] {
    return inOrder(this.#warnings.values()).map((warning) => this.#line(warning))
  }

  #problem(path: ConfigPath, text: string, part: 'key' | 'value', given?: Place): Problem {
    const name = pathText(path)
    const flag = this.#flags.get(name)
    const place = flag === undefined ? (given ?? this.#locate(path, part)) : undefined
    return { path: name, text, flag, place }
  }

  /** Whatever is wrong at this path or below follows from a problem elsewhere: from here on it is not told. */
  follows(path: ConfigPath): void {
    this.#following.add(pathText(path))
  }

  has(path: ConfigPath): boolean {
    return this.#found.has(pathText(path))
  }

  /** Whether the value at this path came from a reference: nothing may be told about it. */
  isHidden(path: ConfigPath): boolean {
    return this.#references.has(pathText(path))
  }

  /** Text that somebody else wrote, without the values of references. */
  scrub(text: string): string {
    return this.#scrub(text)
  }

  /** A value as it may be printed at this path. */
  show(path: ConfigPath, value: unknown): string {
    const reference = this.#references.get(pathText(path))
    if (reference !== undefined) return shorten(JSON.stringify(reference))
    const key = path.findLast((part) => typeof part === 'string')
    const secret = typeof key === 'string' && SECRET_KEY.test(key)
    if (secret && value !== null && value !== '' && typeof value !== 'object') return `a ${typeof value}`
    const { source } = this.#locate(path, 'value') ?? {}
    const shown = describeValue(value)
    const differs = source !== undefined && typeof value !== 'object' && source !== shown
    return differs ? `${source}, which YAML reads as ${shown}` : shown
  }

  /** Throws everything found as one error, if there is anything. */
  throwIfAny(): void {
    if (this.#found.size === 0) return
    const lines = inOrder(this.#found.values()).map((problem) => this.#line(problem))
    throw new BizonError('config', lines.join('\n'), {
      hint: this.#hints[0] ?? (this.#file === '<config>' ? undefined : `bizon check ${this.#file}`),
    })
  }

  #line({ path, text, flag, place }: Problem): string {
    const where = flag ?? (place === undefined ? this.#file : `${this.#file}:${place.line}:${place.column}`)
    return path === '' ? `${where}: ${text}` : `${where} ${path}: ${text}`
  }
}

function inOrder(problems: Iterable<Problem>): Problem[] {
  return [...problems].sort((a, b) => lineOf(a) - lineOf(b) || (a.place?.column ?? 0) - (b.place?.column ?? 0))
}

const lineOf = ({ place }: Problem): number => place?.line ?? 0

/** `engine.backend.config.password`, `streams[0].source.topic`; empty for the whole config. */
export function pathText(path: ConfigPath): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    const name = /^[^\s.[\]"]+$/.test(part) ? part : JSON.stringify(part)
    return text === '' ? name : `${text}.${name}`
  }, '')
}

function describeValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (value instanceof Date) return `the date ${Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString()}`
  if (typeof value === 'object') return 'a mapping'
  if (typeof value === 'function') return 'a function'
  return shorten(typeof value === 'string' ? JSON.stringify(value) : String(value))
}

function shorten(text: string): string {
  const characters = [...text]
  return characters.length <= SHOWN_CHARACTERS ? text : `${characters.slice(0, SHOWN_CHARACTERS).join('')}…`
}
