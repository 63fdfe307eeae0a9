// Two programs that say whether a pipeline is valid: the loader, and the language server with the JSON Schema.

import type * as z from 'zod'
import { everyDestination, everySource } from '../../lib/config/json-schema.ts'
import { Problems } from '../../lib/config/problems.ts'
import { destinationConfigSchema, engineSchema, pipelineSchema, sourceSchema } from '../../lib/config/schema.ts'
import { validate } from '../../lib/config/validate.ts'
import { keysOf } from '../../lib/config/zod.ts'
import { loadConfig } from '../../lib/config.ts'
import { BizonError } from '../../lib/errors.ts'
import { isMapping } from '../../lib/references.ts'
import type { LanguageServer } from '../support/language-server.ts'

/** Not about the shape: what is not built yet, a reference that leads nowhere on this machine. */
const ELSEWHERE =
  /is not built yet; it comes with|not available in this version|the environment variable \w+ is not set|cannot read the file/

/** What the loader says of the shape of a pipeline, one line for each problem. */
export async function problemsOf(input: string | Readonly<Record<string, unknown>>): Promise<string[]> {
  try {
    await loadConfig(input, ['source', 'destination'])
    return []
  } catch (error) {
    if (!(error instanceof BizonError) || error.code !== 'config') throw error
    return error.message.split('\n').filter((line) => !ELSEWHERE.test(line))
  }
}

const sources = new Map((await everySource()).map(({ name, shape }) => [name, shape.config]))
const destinations = new Map((await everyDestination()).map(({ name, shape }) => [name, shape.config]))

/** What the refinements of the schemas say of a pipeline: code, which no JSON Schema can hold. */
export function refinementsOf(pipeline: Readonly<Record<string, unknown>>): string[] {
  const { source, destination, engine } = pipeline
  const config = isMapping(destination) ? destination.config : undefined
  const said = (schema: z.ZodType | undefined, value: unknown): string[] => {
    if (!schema || !isMapping(value)) return []
    const keys = keysOf(schema, value)
    const own = structuredClone(Object.fromEntries(Object.entries(value).filter(([key]) => keys.includes(key))))
    validate(schema, own, [], new Problems('', () => undefined)) // converts what is written as text
    return customMessages(schema.safeParse(own).error?.issues ?? [])
  }
  const named = (table: ReadonlyMap<string, z.ZodType>, block: unknown) =>
    isMapping(block) ? table.get(String(block.name)) : undefined
  return [
    ...said(pipelineSchema, pipeline),
    ...said(engineSchema, engine),
    ...said(sourceSchema, source),
    ...said(named(sources, source), source),
    ...said(destinationConfigSchema, config),
    ...said(named(destinations, destination), config),
  ]
}

function customMessages(issues: readonly z.core.$ZodIssue[]): string[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'invalid_union') return issue.errors.flatMap(customMessages)
    return issue.code === 'custom' ? [issue.message] : []
  })
}

let documents = 0

/** What an editor shows for a text that begins with the comment that names the schema. */
export async function complaintsOf(text: string, server: LanguageServer, folder: string): Promise<string[]> {
  const path = `${folder}/document-${++documents}.yml`
  const diagnostics = await server.open(path, text)
  server.close(path)
  return diagnostics.map(({ message, range: { start } }) => `${start.line + 1}:${start.character + 1} ${message}`)
}
