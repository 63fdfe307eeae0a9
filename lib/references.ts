// Secrets stay out of the file: `env://NAME` as a whole value, `${env://NAME}` inside one. Resolved before
// validation, on a copy; where each value came from is kept, so that no message ever prints what it stands for.

import { readFile } from 'node:fs/promises'
import { parseEnv } from 'node:util'
import { BizonError, messageOf, systemCode } from './errors.ts'
import type { ConfigPath, Problems } from './problems.ts'
import { pathText } from './problems.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Resolved {
  /** A deep copy of the config with every reference replaced; what failed stays as it was. */
  readonly value: unknown
  /** Path to the text with references that stood there. */
  readonly references: ReadonlyMap<string, string>
  /** What the references stand for, as far as it is long enough to be recognised in a log. */
  readonly secrets: readonly string[]
}

/** Shorter values are too likely to be part of an innocent word. */
const SECRET_CHARACTERS = 4
/** An object that contains itself would never end. */
const MAX_DEPTH = 64
const LEGACY = 'BIZON_ENV_'
const SCHEMES = ['env', 'gsm']
const WHOLE = /^([a-z0-9_]+):\/\/(.*)$/s
const INLINE = /\$\$\{|\$\{([^}]*)\}/g
const UNCLOSED = /(?<!\$)\$\{\s*(?:env|gsm):\/\/[^}]*$/

/**
 * Copies the config and replaces references, reporting every one that cannot be. The environment is asked for
 * when the first reference is met. The code of `transforms` is left alone: `${` means something else there.
 */
export async function resolveReferences(
  config: unknown,
  problems: Problems,
  environment: () => Promise<Environment>,
): Promise<Resolved> {
  const references = new Map<string, string>()
  const secrets = new Set<string>()
  let known: Environment | undefined

  async function resolve(value: unknown, path: ConfigPath): Promise<unknown> {
    if (path.length > MAX_DEPTH) {
      problems.add(path.slice(0, 1), 'is nested too deeply, or contains itself')
      return null
    }
    if (typeof value === 'string') return isScript(path) ? value : resolveText(value, path)
    if (Array.isArray(value)) {
      const items: unknown[] = []
      for (const [i, item] of value.entries()) items.push(await resolve(item, [...path, i]))
      return items
    }
    if (!isMapping(value)) return value
    const entries: [string, unknown][] = []
    for (const [key, item] of Object.entries(value)) {
      if (item !== undefined) entries.push([key, await resolve(item, [...path, key])])
    }
    return Object.fromEntries(entries)
  }

  async function resolveText(text: string, path: ConfigPath): Promise<string> {
    if (!text.includes('://') && !text.startsWith(LEGACY) && !text.includes('${')) return text
    known ??= await environment()
    const { value, found, problem, hint } = replaceReferences(text, known)
    for (const secret of found) if (secret.length >= SECRET_CHARACTERS) secrets.add(secret)
    if (problem !== undefined) problems.add(path, problem, { hint })
    if (problem !== undefined || found.length > 0) references.set(pathText(path), text)
    return value
  }

  const value = await resolve(config, [])
  return { value, references, secrets: [...secrets] }
}

interface Replaced {
  readonly value: string
  /** The values of the references. */
  readonly found: readonly string[]
  readonly problem?: string
  readonly hint?: string | undefined
}

/** Replaces the references in one string: the grammar, without the config around it. */
export function replaceReferences(text: string, environment: Environment): Replaced {
  const found: string[] = []
  let problem: string | undefined
  let hint: string | undefined

  const fail = (said: string, advice?: string) => {
    problem ??= said
    hint ??= advice
    return ''
  }
  const variable = (name: string) => {
    const value = environment[name]
    if (name === '') return fail('env:// needs the name of a variable')
    if (value === undefined) {
      return fail(`the environment variable ${name} is not set`, `set ${name}, or write ${name}=… into the file .env`)
    }
    found.push(value)
    return value
  }
  const reference = (scheme: string, path: string) =>
    scheme === 'env' ? variable(path.trim()) : fail('gsm:// is not available in this version; use env://')

  const done = (value: string): Replaced => {
    if (problem !== undefined) return { value: text, found, problem, hint }
    return { value, found }
  }

  if (text.startsWith(LEGACY)) return done(variable(text))
  if (!text.includes('${')) {
    const [, scheme = '', path = ''] = WHOLE.exec(text.trim()) ?? []
    if (SCHEMES.includes(scheme)) return done(reference(scheme, path))
    const loud = /^[A-Za-z]+(?=:\/\/)/.exec(text.trim())?.[0] ?? ''
    if (SCHEMES.includes(loud.toLowerCase())) fail(`${loud}:// is not a reference; write ${loud.toLowerCase()}://`)
    return done(text)
  }
  const value = text.replace(INLINE, (token: string, inner: string | undefined) => {
    if (inner === undefined) return '${'
    const [, scheme, path = ''] = WHOLE.exec(inner.trim()) ?? []
    if (scheme === undefined) {
      return fail(`${JSON.stringify(token)} is not a reference; write \${env://NAME}, or $\${ for the two characters`)
    }
    if (SCHEMES.includes(scheme)) return reference(scheme, path)
    return fail(
      `${JSON.stringify(token)} has an unknown scheme; known: ${SCHEMES.map((name) => `${name}://`).join(', ')}`,
    )
  })
  if (UNCLOSED.test(text)) fail('a ${ is never closed; add the missing }')
  return done(value)
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
