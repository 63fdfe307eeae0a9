// Secrets stay out of the file: references to them are resolved before validation, on a copy, each distinct one once.
// Where each value came from is kept, so that no message ever prints what it stands for.
//
//   find them all → those in `secrets` first, which say how gsm:// is read → the others, all at once → put them in

import { readFile } from 'node:fs/promises'
import { parseEnv } from 'node:util'
import type { ConfigPath, Problems } from './config/problems.ts'
import { pathText, SECRET_KEY } from './config/problems.ts'
import { BizonError, messageOf, systemCode } from './errors.ts'
import { recognisable } from './redact.ts'
import { type Piece, parseReferences, type Reference } from './references/grammar.ts'
import type { SecretManager } from './references/secret-manager.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** One reference, or what looks like one, at one place of a config. */
export interface Occurrence {
  readonly path: ConfigPath
  /** As it was written, without `${` and `}`. */
  readonly text: string
  /** Why it cannot be resolved; absent: it was. */
  readonly problem?: string
  readonly hint?: string | undefined
}

export interface Resolved {
  /** A deep copy of the config with every reference replaced; what failed stays as it was. */
  readonly value: unknown
  /** In the order of the file. */
  readonly occurrences: readonly Occurrence[]
  /** Path to the text with references that stood there. */
  readonly references: ReadonlyMap<string, string>
  /** What the references stand for, as far as it is long enough to be recognised in a log. */
  readonly secrets: readonly string[]
  /** Each reference, as it was written, to what it stands for. */
  readonly referenced: ReadonlyMap<string, string>
  /** References for which the placeholder stands, as they were written. */
  readonly unset: readonly string[]
}

/** A shorter line of a secret, or string in it, is too likely to be innocent. */
const INNER_CHARACTERS = 16
/** A secret may stand in the file itself, at a key that says so. A shorter value could be an innocent word. */
const LITERAL_CHARACTERS = 8
/** An object may be as deep as it likes, but no file is. */
const MAX_DEPTH = 64

export interface ResolveOptions {
  /** Stands for what cannot be looked up, without a problem, and no service is asked. */
  readonly placeholder?: string | undefined
  /** Where variables may be written, for hints. Default: `.env`. */
  readonly envFile?: string | undefined
}

type Lookup = { readonly value: string } | { readonly problem: string; readonly hint?: string | undefined }

/**
 * Copies the config and replaces references, reporting every one that cannot be. The environment is asked for
 * when there is a reference. The code of `transforms` is left alone: `${` means something else there.
 */
export async function resolveReferences(
  config: unknown,
  problems: Problems,
  environment: () => Promise<Environment>,
  { placeholder, envFile }: ResolveOptions = {},
): Promise<Resolved> {
  const secrets = new Set<string>()
  const texts = new Map<
    string,
    { readonly path: ConfigPath; readonly text: string; readonly pieces: readonly Piece[] }
  >()
  mapText(config, problems, (text, path) => {
    const pieces = parseReferences(text)
    if (pieces.length !== 1 || typeof pieces[0] !== 'string') texts.set(pathText(path), { path, text, pieces })
    if (pieces.every((piece) => typeof piece === 'string') && SECRET_KEY.test(String(path.at(-1)))) {
      const literal = pieces.join('')
      if (literal.length >= LITERAL_CHARACTERS) secrets.add(literal)
    }
    return text
  })

  const lookups = await lookUp([...texts.values()], config, environment, {
    offline: placeholder !== undefined,
    envFile,
  })
  const occurrences: Occurrence[] = []
  const references = new Map<string, string>()
  const referenced = new Map<string, string>()
  const unset = new Set<string>()
  const replaced = new Map<string, string>()
  for (const [name, { path, text, pieces }] of texts) {
    let value = ''
    let isBroken = false
    for (const piece of pieces) {
      if (typeof piece === 'string') {
        value += piece
        continue
      }
      const found = 'problem' in piece ? piece : lookups(piece, path)
      references.set(name, text)
      if ('value' in found) {
        value += found.value
        referenced.set(piece.text, found.value)
        for (const form of recognisable(formsOf(found.value))) secrets.add(form)
        occurrences.push({ path, text: piece.text })
      } else if (placeholder !== undefined && 'scheme' in piece) {
        value += placeholder
        unset.add(piece.text)
      } else {
        isBroken = true
        const { problem } = found
        const hint = 'hint' in found ? found.hint : undefined
        problems.add(path, problem, { hint })
        occurrences.push({ path, text: piece.text, problem, hint })
      }
    }
    replaced.set(name, isBroken ? text : value)
  }
  const value = mapText(config, problems, (text, path) => replaced.get(pathText(path)) ?? text)
  return { value, occurrences, references, secrets: recognisable(secrets), referenced, unset: [...unset] }
}

/** Fetches every distinct reference once. What it returns tells of each. */
async function lookUp(
  texts: readonly { readonly path: ConfigPath; readonly pieces: readonly Piece[] }[],
  config: unknown,
  environment: () => Promise<Environment>,
  { offline, envFile }: { readonly offline: boolean; readonly envFile: string | undefined },
): Promise<(reference: Reference, path: ConfigPath) => Lookup> {
  const inside = texts.filter(({ path }) => isSettings(path)).flatMap(referencesOf)
  const outside = texts.filter(({ path }) => !isSettings(path)).flatMap(referencesOf)
  const known = inside.length + outside.length > 0 ? await environment() : {}
  const seen = new Map<string, Lookup>()
  const all = async (references: readonly Reference[], manager?: SecretManager): Promise<void> => {
    const distinct = new Map(references.map((one) => [nameOf(one), one]))
    const missing = [...distinct].filter(([name]) => !seen.has(name))
    await Promise.all(missing.map(async ([name, one]) => seen.set(name, await lookup(one, known, envFile, manager))))
  }
  const tell = (reference: Reference, path: ConfigPath): Lookup =>
    isSettings(path) && reference.scheme === 'gsm' ? IN_SETTINGS : (seen.get(nameOf(reference)) ?? IN_SETTINGS)

  await all(inside.filter(({ scheme }) => scheme !== 'gsm'))
  if (offline || !outside.some(({ scheme }) => scheme === 'gsm')) {
    await all(outside)
    return tell
  }
  const setting = (key: string): string | undefined => {
    const gsm = isMapping(config) && isMapping(config.secrets) ? config.secrets.gsm : undefined
    const text = isMapping(gsm) ? gsm[key] : undefined
    if (typeof text !== 'string') return undefined
    const pieces = parseReferences(text).map((piece) => {
      if (typeof piece === 'string') return piece
      const found = 'problem' in piece ? piece : tell(piece, ['secrets'])
      return 'value' in found ? found.value : undefined
    })
    return pieces.includes(undefined) ? undefined : pieces.join('')
  }
  const { createSecretManager } = await import('./references/secret-manager.ts')
  const manager = createSecretManager({
    project: setting('project_id') ?? known.GOOGLE_CLOUD_PROJECT,
    endpoint: setting('endpoint'),
    keyFile: known.GOOGLE_APPLICATION_CREDENTIALS,
  })
  try {
    await all(outside, manager)
  } finally {
    await manager.close()
  }
  return tell
}

const IN_SETTINGS: Lookup = {
  problem: 'gsm:// cannot stand in secrets, which says how it is read; use env:// or file://',
}

const isSettings = ([top]: ConfigPath): boolean => top === 'secrets'
const nameOf = ({ scheme, path }: Reference): string => `${scheme}://${path}`
const referencesOf = ({ pieces }: { readonly pieces: readonly Piece[] }): Reference[] =>
  pieces.filter((piece): piece is Reference => typeof piece !== 'string' && !('problem' in piece))

async function lookup(
  { scheme, path }: Reference,
  known: Environment,
  envFile: string | undefined,
  manager: SecretManager | undefined,
): Promise<Lookup> {
  if (scheme === 'env') {
    const value = known[path]
    if (value !== undefined) return { value }
    return {
      problem: `the environment variable ${path} is not set`,
      hint: `set ${path}, or write ${path}=… into ${envFile ?? 'the file .env'}`,
    }
  }
  try {
    if (scheme === 'gsm') return manager ? { value: await manager.read(path) } : IN_SETTINGS
    const { readSecretFile } = await import('./references/secret-file.ts')
    return { value: await readSecretFile(path) }
  } catch (error) {
    if (!(error instanceof BizonError)) throw error
    return { problem: error.message, hint: error.hint }
  }
}

/** A copy with every text replaced, but for scripts. Keys are not looked at. */
function mapText(config: unknown, problems: Problems, replace: (text: string, path: ConfigPath) => string): unknown {
  const map = (value: unknown, path: ConfigPath, inside: readonly unknown[]): unknown => {
    if (typeof value === 'string') return isScript(path) ? value : replace(value, path)
    if (!Array.isArray(value) && !isMapping(value)) return value
    if (path.length > MAX_DEPTH || inside.includes(value)) {
      problems.add(path.slice(0, 1), 'is nested too deeply, or contains itself')
      return null
    }
    const around = [...inside, value]
    if (Array.isArray(value)) return value.map((item, i) => map(item, [...path, i], around))
    const entries = Object.entries(value).filter(([, item]) => item !== undefined)
    return Object.fromEntries(entries.map(([key, item]) => [key, map(item, [...path, key], around)]))
  }
  return map(config, [], [])
}

/**
 * The forms in which a secret may turn up: whole; line by line, as a key file is printed; and, of JSON, each string
 * in it that is a secret by its name.
 */
function formsOf(value: string): string[] {
  const lines = value.includes('\n') ? value.split(/\r?\n/).map((line) => line.trim()) : []
  const inner = [...lines, ...stringsInJson(value)].filter((form) => form.length >= INNER_CHARACTERS)
  return [value, ...inner]
}

/** Of a service account's key file and the like, the strings that are secret by their name. */
function stringsInJson(text: string): string[] {
  if (!/^\s*\{/.test(text)) return []
  try {
    const entries = Object.entries(JSON.parse(text) as Record<string, unknown>)
    return entries.flatMap(([key, value]) => (typeof value === 'string' && SECRET_KEY.test(key) ? [value] : []))
  } catch {
    return []
  }
}

/** What is set already wins over the file. Without a file, `.env` of the working directory, if there is one. */
export async function readEnvironment(file: string | undefined): Promise<Environment> {
  try {
    return {
      ...parseEnv(await readFile(file ?? '.env', 'utf8')),
      ...process.env,
    }
  } catch (error) {
    if (file === undefined && systemCode(error) === 'ENOENT') return process.env
    const why = systemCode(error) === 'ENOENT' ? 'no such file' : messageOf(error)
    throw new BizonError('config', `cannot read the environment file ${JSON.stringify(file ?? '.env')}: ${why}`, {
      cause: error,
    })
  }
}

function isScript(path: ConfigPath): boolean {
  return path.length === 3 && path[0] === 'transforms' && (path[2] === 'python' || path[2] === 'javascript')
}

/** A plain object, as YAML and object literals make them. */
export function isMapping(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
