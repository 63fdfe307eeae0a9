// Which files a config means, and what is in them. Patterns know `*`, `**` and `?`, and as in a shell none of them
// matches a name that starts with a dot.

import { constants } from 'node:fs'
import { access, open, readdir, stat } from 'node:fs/promises'
import { join, normalize, resolve } from 'node:path'
import { BizonError, messageOf, systemCode } from '../../../lib/errors.ts'
import type { FileConfig } from '../file.ts'

export const FORMATS = ['ndjson', 'json', 'csv', 'tsv', 'parquet'] as const
export type Format = (typeof FORMATS)[number]
export const STDIN = '-'

/** A file to read. `path`, as the config or the pattern spells it but without detours, names it in positions, ids and errors. */
export interface FileToRead {
  readonly path: string
  readonly format: Format
  readonly gzip: boolean
}

export type PathConfig = Pick<FileConfig, 'path' | 'format' | 'compression' | 'dead_letter_path'>

const EXTENSIONS: { readonly [extension: string]: Format } = {
  ndjson: 'ndjson',
  jsonl: 'ndjson',
  json: 'json',
  csv: 'csv',
  tsv: 'tsv',
  parquet: 'parquet',
}

/** The files there are now, sorted by name, each once. Rejects when a path or pattern names none and there must be one. */
export async function listFiles(config: PathConfig, mustExist = true): Promise<FileToRead[]> {
  if (config.path.includes(STDIN)) {
    return [readable({ path: STDIN, format: config.format ?? 'ndjson', gzip: config.compression === 'gzip' })]
  }
  const deadLetters = resolve(config.dead_letter_path ?? '')
  const found = new Map<string, string>()
  for (const path of config.path) {
    for (const match of await expand(path, mustExist)) {
      const absolute = resolve(match)
      if (absolute !== deadLetters && !found.has(absolute)) found.set(absolute, normalize(match))
    }
  }
  return [...found.values()].sort().map((path) => describe(path, config))
}

/** Rejects, saying why, unless every file is there and may be read. */
export async function checkFiles(config: PathConfig): Promise<void> {
  for (const { path } of await listFiles(config)) {
    if (path === STDIN) continue
    try {
      // To open is the surest check, but to open a pipe waits for its writer.
      if ((await stat(path)).isFile()) await (await open(path)).close()
      else await access(path, constants.R_OK)
    } catch (error) {
      throw cannotRead(path, error)
    }
  }
}

/** Whether what is in the files stays when something is added: then only that need be read next time. */
export function isAppendOnly({ path, format, compression }: PathConfig): boolean {
  if (format === 'json' || compression === 'gzip') return false
  return path.every(
    (each) =>
      each !== STDIN &&
      (compression === 'none' || !each.endsWith('.gz')) &&
      (format !== undefined || extensionOf(each) !== 'json'),
  )
}

export function cannotRead(path: string, cause: unknown): BizonError {
  const code = systemCode(cause)
  if (code === 'ENOENT') return missing(path)
  const why = code === 'EACCES' ? 'permission denied' : messageOf(cause)
  return new BizonError('source', `cannot read ${path}: ${why}`, { cause })
}

function describe(path: string, { format, compression }: PathConfig): FileToRead {
  const known = format ?? EXTENSIONS[extensionOf(path)]
  if (known === undefined) {
    throw new BizonError('config', `source.path: the name ${path} does not say what is in the file`, {
      hint: `Set source.format to one of ${FORMATS.join(', ')}.`,
    })
  }
  const gzip = compression === undefined ? path.endsWith('.gz') : compression === 'gzip'
  return readable({ path, format: known, gzip })
}

/** Rejects what is read from its end and cannot be. */
function readable(file: FileToRead): FileToRead {
  const { path, format, gzip } = file
  if (format !== 'parquet' || (path !== STDIN && !gzip)) return file
  const what = path === STDIN ? 'standard input' : `${path}, which is gzipped as a whole`
  throw new BizonError('config', `source.format: parquet cannot be read from ${what}: it begins at the end of a file`, {
    hint: path === STDIN ? 'Write it to a file first.' : 'Unpack it first.',
  })
}

function extensionOf(path: string): string {
  return /\.([^./\\]+)$/.exec(path.replace(/\.gz$/i, ''))?.[1]?.toLowerCase() ?? ''
}

async function expand(path: string, mustExist: boolean): Promise<string[]> {
  const there = await stat(path).catch((error) => {
    if (['ENOENT', 'ENOTDIR', 'EINVAL'].includes(systemCode(error) ?? '')) return undefined
    throw cannotRead(path, error)
  })
  if (there?.isDirectory()) {
    throw new BizonError('source', `${path} is a folder, not a file`, {
      hint: `Set source.path to the files in it, for instance ${join(path, '*.ndjson')}.`,
    })
  }
  if (there) return [path]
  if (!/[*?]/.test(path)) {
    if (mustExist) throw missing(path)
    return []
  }
  const matches = await walk(path.startsWith('/') ? '/' : '', path.split('/').filter(Boolean))
  if (matches.length === 0 && mustExist) {
    throw new BizonError('source', `no file matches ${path}`, {
      hint: 'Check source.path; it is relative to the folder that bizon runs in.',
    })
  }
  return matches
}

/** Files below `folder` whose path matches the rest of a pattern, one segment per element. */
async function walk(folder: string, [segment, ...rest]: string[]): Promise<string[]> {
  if (segment === undefined) return []
  if (!/[*?]/.test(segment)) {
    const path = folder + segment
    if (rest.length > 0) return walk(`${path}/`, rest)
    return (await isFile(path)) ? [path] : []
  }
  const entries = await readdir(folder || '.', { withFileTypes: true }).catch((error) => {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return []
    throw cannotRead(folder, error)
  })
  const deep = segment === '**'
  const matches = deep ? await walk(folder, rest.length > 0 ? rest : ['*']) : []
  const pattern = deep ? /^[^.]/ : patternOf(segment)
  for (const entry of entries) {
    if (!pattern.test(entry.name)) continue
    const path = folder + entry.name
    // A link to a folder may lead back up, so `**` does not follow it.
    if (deep) {
      if (entry.isDirectory()) matches.push(...(await walk(`${path}/`, [segment, ...rest])))
    } else if (rest.length > 0) {
      if (!entry.isFile()) matches.push(...(await walk(`${path}/`, rest)))
    } else if (entry.isFile() || (!entry.isDirectory() && (await isFile(path)))) {
      matches.push(path)
    }
  }
  return matches
}

/** What the names match that one segment of a pattern means. */
export function patternOf(segment: string): RegExp {
  const source = segment
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replace(/\?/g, '.')
  return new RegExp(`^${segment.startsWith('.') ? '' : '(?!\\.)'}${source}$`, 'su')
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (there) => !there.isDirectory(),
    () => false,
  )
}

function missing(path: string): BizonError {
  return new BizonError('source', `${path} does not exist`, {
    hint: 'Check source.path; it is relative to the folder that bizon runs in.',
  })
}
