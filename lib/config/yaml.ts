// Text to value, keeping where each value stood. YAML 1.1 as the Python bizon reads it: yes, no, on and off are
// booleans (y and n are not), `<<` merges; what it drops without a word (duplicate keys) is an error here.

import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
  type Scalar,
  type Tags,
  type YAMLMap,
} from 'yaml'
import { type ConfigPath, type Locate, type Place, Problems, pathText } from './problems.ts'

export interface YamlDocument {
  readonly value: unknown
  readonly locate: Locate
}

/** Aliases may repeat a part of the file; a small file must not become a huge config. */
const MAX_VALUES = 100_000

/** Parses one YAML document; throws one BizonError with all that is wrong. `file` is for messages. */
export function parseYaml(text: string, file: string): YamlDocument {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    version: '1.1',
    schema: 'yaml-1.1',
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'error',
    lineCounter: lines,
    customTags: withoutYAndN,
  })
  const reader = new Reader(document, lines, file)
  const broken = document.errors[0] ?? document.warnings[0]
  if (broken) {
    const second = broken.code === 'MULTIPLE_DOCS'
    const said = second ? 'a second document starts here; a pipeline is one' : `not YAML: ${broken.message}`
    reader.problems.add([], said, { place: reader.placeAt(broken.pos[0]) })
  }
  reader.problems.throwIfAny()
  const value = reader.read()
  reader.problems.throwIfAny()
  return { value, locate: reader.locate }
}

/** The package also takes y and n as booleans, PyYAML does not. */
function withoutYAndN(tags: Tags): Tags {
  return tags.map((tag) => {
    if (typeof tag !== 'object' || tag.tag !== 'tag:yaml.org,2002:bool' || !tag.test) return tag
    const words = tag.test.test('yes')
      ? /^(?:[Yy]es|YES|[Tt]rue|TRUE|[Oo]n|ON)$/
      : /^(?:[Nn]o|NO|[Ff]alse|FALSE|[Oo]ff|OFF)$/
    return { ...tag, test: words }
  })
}

interface Where {
  readonly path: ConfigPath
  /** Where its key stands, if it has one. */
  readonly key?: Place
  /** The collections it is part of, so that an alias to one of them is seen. */
  readonly inside: readonly unknown[]
}

class Reader {
  readonly problems: Problems
  readonly #document: Document.Parsed
  readonly #lines: LineCounter
  readonly #places = new Map<string, { readonly key?: Place; readonly value?: Place }>()
  /** What aliases refer to: finding it walks the whole document. */
  readonly #targets = new Map<unknown, unknown>()
  #values = 0

  constructor(document: Document.Parsed, lines: LineCounter, file: string) {
    this.#document = document
    this.#lines = lines
    this.problems = new Problems(file, this.locate)
  }

  read(): unknown {
    return this.#value(this.#document.contents, { path: [], inside: [] })
  }

  placeAt(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset)
    return { line, column: col }
  }

  /** What is not there is where its parent is. */
  readonly locate: Locate = (path, part) => {
    const place = this.#places.get(pathText(path))
    const found = (part === 'value' ? place?.value : undefined) ?? place?.key ?? place?.value
    if (found) return found
    return path.length === 0 ? { line: 1, column: 1 } : this.locate(path.slice(0, -1), 'key')
  }

  #value(node: unknown, where: Where): unknown {
    if (isAlias(node)) {
      const target = this.#resolved(node)
      if (target !== undefined && !where.inside.includes(target)) return this.#value(target, where)
      const said = target === undefined ? 'refers to nothing above it' : 'contains itself'
      this.problems.add(where.path, `*${node.source} ${said}`, this.#at(node))
      return null
    }
    if (++this.#values > MAX_VALUES) {
      this.problems.add([], 'its aliases make it too large')
      return null
    }
    const name = pathText(where.path)
    if (!this.#places.has(name)) {
      const value = this.#startOf(node, where.key !== undefined)
      this.#places.set(name, {
        ...(where.key && { key: where.key }),
        ...(value && { value: { ...value, ...writtenAs(node) } }),
      })
    }
    const inside = [...where.inside, node]
    if (isMap(node)) return Object.fromEntries(this.#entries(node, { ...where, inside }))
    if (isSeq(node)) return node.items.map((item, i) => this.#value(item, { path: [...where.path, i], inside }))
    return isScalar(node) ? scalarOf(node) : null
  }

  #entries(map: YAMLMap, { path, inside }: Where): Map<string, unknown> {
    const entries = new Map<string, unknown>()
    const merges: unknown[] = []
    for (const pair of map.items) {
      const name = nameOf(pair)
      if (isMerge(pair)) merges.push(pair.value)
      else if (name === undefined) this.problems.add(path, 'a key must be plain text', this.#at(pair.key))
      else if (entries.has(name)) {
        const first = this.locate([...path, name], 'key')
        this.problems.add([...path, name], `duplicate key, first on line ${first?.line}`, this.#at(pair.key))
      } else
        entries.set(
          name,
          this.#value(pair.value, {
            path: [...path, name],
            inside,
            ...this.#keyOf(pair),
          }),
        )
    }
    for (const merge of merges) {
      const target = this.#resolved(merge)
      for (const source of isSeq(target) ? target.items : [target]) this.#merge(entries, source, { path, inside })
    }
    return entries
  }

  /** `<<`: the mapping's own keys win, then those of earlier sources. */
  #merge(entries: Map<string, unknown>, source: unknown, { path, inside }: Where): void {
    const map = this.#resolved(source)
    if (!isMap(map) || inside.includes(map)) {
      this.problems.add(path, '<< takes a mapping or a list of mappings', this.#at(source))
      return
    }
    for (const [name, value] of this.#entries(map, {
      path,
      inside: [...inside, map],
    })) {
      if (!entries.has(name)) entries.set(name, value)
    }
  }

  #resolved(node: unknown): unknown {
    if (!isAlias(node)) return node
    if (!this.#targets.has(node)) this.#targets.set(node, node.resolve(this.#document))
    return this.#targets.get(node)
  }

  /** Where a value starts; nothing for an empty or indented value that has a key, which says more. */
  #startOf(node: unknown, hasKey: boolean): Place | undefined {
    if (hasKey && isScalar(node) && node.value === null && !node.source) return undefined
    if (hasKey && isCollection(node) && !node.flow) return undefined
    return this.#at(node).place
  }

  #keyOf(pair: Pair): { key?: Place } {
    const { place } = this.#at(pair.key)
    return place ? { key: place } : {}
  }

  #at(node: unknown): { place?: Place } {
    const offset = isScalar(node) || isCollection(node) || isAlias(node) ? node.range?.[0] : undefined
    return offset === undefined ? {} : { place: this.placeAt(offset) }
  }
}

/** Of a scalar that is no text, such as `010` or `12:30`. */
function writtenAs(node: unknown): { source?: string } {
  if (!isScalar(node) || typeof node.value === 'string' || node.value === null || !node.source) return {}
  return { source: node.source }
}

const NUMBER = /^[-+]?(?:\.?\d|\.(?:inf|nan)$)/i

/** The library takes `e9`, `.` and `-.` for numbers without digits; to YAML and to people they are text. */
function scalarOf({ value, source = '' }: Scalar): unknown {
  return typeof value === 'number' && !NUMBER.test(source) ? source : value
}

const isMerge = ({ key }: Pair): boolean => isScalar(key) && typeof key.value === 'symbol'

/** A key as it was written: `on:` is the key "on", although the value `on` is a boolean. */
function nameOf({ key }: Pair): string | undefined {
  if (!isScalar(key)) return undefined
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value))
}
