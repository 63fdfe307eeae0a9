// What is wrong with endpoints that each alone would be right: parents that are not there, placeholders without value.

import type { Json } from '../../../lib/record.ts'
import { suggestion } from '../../../lib/suggest.ts'
import type { EndpointConfig } from './config.ts'
import { placeholdersIn } from './template.ts'

export interface Problem {
  readonly path: readonly (string | number)[]
  readonly message: string
}

export function problemsOf(endpoints: Readonly<Record<string, EndpointConfig>>): Problem[] {
  return Object.entries(endpoints).flatMap(([name, endpoint]) =>
    [...parentProblems(name, endpoints), ...placeholderProblems(endpoint), ...keyProblems(endpoint)].map((problem) => ({
      ...problem,
      path: [name, ...problem.path],
    })),
  )
}

function* parentProblems(name: string, endpoints: Readonly<Record<string, EndpointConfig>>): Generator<Problem> {
  const parent = endpoints[name]?.parent
  if (!parent) return
  const path = ['parent', 'stream']
  if (!Object.hasOwn(endpoints, parent.stream)) {
    const said = `unknown stream ${JSON.stringify(parent.stream)}`
    yield { path, message: `${said}${suggestion(parent.stream, Object.keys(endpoints), 'endpoints')}` }
    return
  }
  const visited = new Set<string>()
  for (let at: string | undefined = name; at !== undefined; at = endpoints[at]?.parent?.stream) {
    if (visited.has(at)) {
      yield { path, message: 'the streams are each other’s parents' }
      return
    }
    visited.add(at)
  }
}

function* placeholderProblems({ path, params, json, parent, incremental }: EndpointConfig): Generator<Problem> {
  const inPath = placeholdersIn(path)
  const used = new Set([...inPath, ...placeholdersIn(params), ...placeholdersIn(json ?? null)])
  const given = [...Object.keys(parent?.fields ?? {}), ...(incremental ? ['since', 'until'] : [])]
  for (const name of inPath.filter((one) => !given.includes(one))) {
    yield { path: ['path'], message: `nothing gives {${name}} a value; parent.fields can` }
  }
  for (const name of Object.keys(parent?.fields ?? {})) {
    if (name === 'since' || name === 'until') yield { path: ['parent', 'fields', name], message: 'the name is taken' }
    else if (!used.has(name) && !parent?.include.includes(name)) {
      yield { path: ['parent', 'fields', name], message: `the request does not use {${name}}` }
    }
  }
  for (const [index, name] of (parent?.include ?? []).entries()) {
    if (Object.hasOwn(parent?.fields ?? {}, name)) continue
    yield { path: ['parent', 'include', index], message: `parent.fields has no ${JSON.stringify(name)}` }
  }
  if (incremental && incremental.start_value === undefined && used.has('since')) {
    yield { path: ['incremental'], message: 'needs start_value: the first run has no other value for {since}' }
  }
  if (incremental && incremental.param === undefined && !used.has('since')) {
    yield { path: ['incremental'], message: 'needs param, or {since} in the request' }
  }
}

function* keyProblems({ id, json, incremental, pagination, single }: EndpointConfig): Generator<Problem> {
  if (incremental && id === undefined) {
    yield { path: ['incremental'], message: 'needs id, to know the records that a run before has loaded' }
  }
  if (single && pagination.type !== 'none') {
    yield { path: ['single'], message: 'one object has no next page; leave out pagination' }
  }
  if (pagination.type === 'cursor' && (pagination.cursor === undefined) === (pagination.last_record === undefined)) {
    yield { path: ['pagination'], message: 'needs either cursor or last_record' }
  }
  const inBody = 'in' in pagination && pagination.in === 'json'
  if (inBody && !isObject(json)) yield { path: ['json'], message: 'must be a mapping: pagination puts a value into it' }
}

const isObject = (json: Json | undefined): boolean => typeof json === 'object' && json !== null && !Array.isArray(json)
