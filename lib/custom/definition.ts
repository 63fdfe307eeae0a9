// A source or destination defined in a user's own file. Such a file may be plain JavaScript that nobody checked, so
// that here everything is looked at which the types promise of a built-in one.

import * as z from 'zod'
import { blame, importModule } from '../custom.ts'
import type {
  Destination,
  DestinationContext,
  DestinationDefinition,
  DestinationOptions,
  Published,
} from '../destination.ts'
import { BizonError, messageOf } from '../errors.ts'
import type { Source, SourceContext, SourceDefinition, StreamInfo } from '../source.ts'
import { checkedPages, kindOf } from './page.ts'

type Kind = 'source' | 'destination'

/** The source that the file defines. Rejects with code `config`, saying what is missing. */
export async function customSource(path: string): Promise<SourceDefinition> {
  const given = (await definitionIn(path, 'source')) as SourceDefinition
  return {
    summary: given.summary,
    config: given.config,
    ...(given.tuning && { tuning: given.tuning }),
    ...(given.ignored && { ignored: given.ignored }),
    ...(given.parses && { parses: (config, stream) => given.parses?.(config, stream) }),
    streams: (config) => streamsOf(given, config, path),
    create: (config, context) => checkedSource(given, config, context, path),
  }
}

/** The destination that the file defines. Rejects with code `config`, saying what is missing. */
export async function customDestination(path: string): Promise<DestinationDefinition> {
  const given = (await definitionIn(path, 'destination')) as DestinationDefinition
  return {
    summary: given.summary,
    config: given.config,
    ...(given.tuning && { tuning: given.tuning }),
    ...(given.alias !== undefined && { alias: given.alias }),
    ...(given.ignored && { ignored: given.ignored }),
    ...(given.ignoredBeside && { ignoredBeside: given.ignoredBeside }),
    ...(given.tableId && { tableId: given.tableId }),
    ...(given.appendOnly !== undefined && { appendOnly: given.appendOnly }),
    ...(given.parses && { parses: (config) => given.parses?.(config) }),
    create: (config, context) => checkedDestination(given, config, context, path),
  }
}

async function definitionIn(path: string, kind: Kind): Promise<unknown> {
  const found = await importModule(path, `custom ${kind}`)
  const problem = definitionProblem(found, kind)
  if (problem === undefined) return found.default
  throw new BizonError('config', `${path}: ${problem}; see docs/writing-a-${kind}.md`, {
    hint: `bizon new ${kind} NAME, which writes one that works`,
  })
}

/** What keeps a module from defining a source or destination; undefined when nothing does. */
export function definitionProblem(found: Readonly<Record<string, unknown>>, kind: Kind): string | undefined {
  const define = kind === 'source' ? 'defineSource' : 'defineDestination'
  if (!Object.hasOwn(found, 'default'))
    return `it has no default export; it ends with \`export default ${define}({ … })\``
  const given = found.default
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return `its default export is ${kindOf(given)} where the result of ${define}({ … }) was expected`
  }
  const members = given as Readonly<Record<string, unknown>>
  if (kind === 'destination' && typeof members.streams === 'function')
    return 'its default export is a source, not a destination'
  if (typeof members.summary !== 'string') return memberProblem(members, 'summary', 'a string, one sentence')
  const schema = schemaProblem(members.config)
  if (schema !== undefined) return schema
  for (const name of kind === 'source' ? ['streams', 'create'] : ['create']) {
    if (typeof members[name] !== 'function') return memberProblem(members, name, 'a function')
  }
  const { tuning } = members
  if (tuning !== undefined && !(Array.isArray(tuning) && tuning.every((key) => typeof key === 'string'))) {
    return memberProblem(members, 'tuning', 'a list of keys of its config')
  }
  return undefined
}

function memberProblem(members: Readonly<Record<string, unknown>>, name: string, expected: string): string {
  return members[name] === undefined
    ? `its default export has no member "${name}" (${expected})`
    : `"${name}" of its default export is ${kindOf(members[name])} where ${expected} was expected`
}

/** Any copy of zod 4 will do: what its schemas are is told by their own marks, not by the class that made them. */
function schemaProblem(schema: unknown): string | undefined {
  if (schema instanceof z.ZodType) return undefined
  const instead = "`import { z } from 'bizon'`, or zod 4"
  const isObject = typeof schema === 'object' && schema !== null
  const other = isObject && '_zod' in schema ? 'zod/mini' : isObject && '_def' in schema ? 'zod 3' : undefined
  if (other !== undefined) return `"config" of its default export was made with ${other}; use ${instead}`
  return memberProblem({ config: schema }, 'config', `a zod schema of its keys; ${instead}`)
}

function streamsOf(given: SourceDefinition, config: unknown, path: string): readonly StreamInfo[] {
  let streams: readonly unknown[]
  try {
    streams = given.streams(config)
  } catch (cause) {
    throw new BizonError('config', `${path}: streams() failed: ${messageOf(cause)}`, { cause })
  }
  const odd = Array.isArray(streams) ? streams.find((stream) => !isNamed(stream)) : streams
  if (odd === undefined && Array.isArray(streams)) return streams
  const got = Array.isArray(streams) ? `a list with ${kindOf(odd)}` : kindOf(odd)
  throw new BizonError('config', `${path}: streams() gave ${got} where a list of { name: 'orders', … } was expected`)
}

function isNamed(stream: unknown): boolean {
  return typeof stream === 'object' && stream !== null && 'name' in stream && typeof stream.name === 'string'
}

function checkedSource(given: SourceDefinition, config: unknown, context: SourceContext, path: string): Source {
  const source = made(() => given.create(config, context), ['read'], path, 'source')
  const blaming = blamer(path, 'source')
  return {
    read: (from, signal) => checkedPages(() => source.read(from, signal), path, signal),
    ...(source.check && { check: (signal) => blaming(() => source.check?.(signal), signal) }),
    ...(source.count && { count: async (signal) => source.count?.(signal) }),
    ...(source.reads && { reads: (local) => source.reads?.(local) ?? false }),
    ...(source.acknowledge && { acknowledge: (position) => blaming(() => source.acknowledge?.(position)) }),
    ...(source.close && { close: () => blaming(() => source.close?.()) }),
  }
}

function checkedDestination(
  given: DestinationDefinition,
  config: DestinationOptions,
  context: DestinationContext,
  path: string,
): Destination {
  const methods = ['open', 'write', 'flush', 'publish', 'close'] as const
  const destination = made(() => given.create(config, context), methods, path, 'destination')
  const blaming = blamer(path, 'destination')
  return {
    open: (run, signal) => blaming(() => destination.open(run, signal), signal),
    write: (page, signal) => blaming(() => destination.write(page, signal), signal),
    flush: (checkpoint) => blaming(() => destination.flush(checkpoint)),
    publish: () => blaming<Published>(() => destination.publish()),
    close: () => blaming(() => destination.close()),
    ...(destination.check && { check: (signal) => blaming(() => destination.check?.(signal), signal) }),
    ...(destination.outputs && { outputs: () => destination.outputs?.() ?? [] }),
    ...(destination.occupies && { occupies: () => destination.occupies?.() ?? [] }),
  }
}

/** What `create` made, if it has the methods without which nothing works. */
function made<Made extends object>(create: () => Made, methods: readonly string[], path: string, kind: Kind): Made {
  let value: Made
  try {
    value = create()
  } catch (error) {
    throw blame(error, path, kind)
  }
  const missing = methods.filter((name) => typeof (value as Record<string, unknown> | undefined)?.[name] !== 'function')
  if (missing.length === 0) return value
  const what = typeof value === 'object' && value !== null ? 'an object' : kindOf(value)
  throw new BizonError(
    kind,
    `${path}: create() returned ${what} without ${missing.map((name) => `${name}()`).join(', ')}`,
  )
}

/** Runs a user's code; what it throws is said to be theirs. An abort stays what it was. */
function blamer(path: string, kind: Kind) {
  return async <Result>(call: () => Result | Promise<Result>, signal?: AbortSignal): Promise<Result> => {
    try {
      return await call()
    } catch (error) {
      throw signal?.aborted ? error : blame(error, path, kind)
    }
  }
}
