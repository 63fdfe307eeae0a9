// Whether a path is one that a config would read, if it were there: what is read must not be written by the same run.

import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { type PathConfig, patternOf, STDIN } from './paths.ts'

/** By its name, and by where links lead. A link in a folder of a pattern that leads to the path is not seen. */
export function wouldRead(path: string, config: Pick<PathConfig, 'path'>): boolean {
  const names = new Set([resolve(path), realOf(resolve(path))])
  return config.path.some((each) => {
    if (each === STDIN) return false
    if (names.has(resolve(each)) || names.has(realOf(resolve(each)))) return true
    return /[*?]/.test(each) && [...names].some((name) => matches(name, each))
  })
}

function matches(name: string, pattern: string): boolean {
  const segments = pattern.split('/')
  const first = segments.findIndex((segment) => /[*?]/.test(segment))
  const folder = resolve(segments.slice(0, first).join('/') || (first > 0 ? '/' : '.'))
  const rest = segments.slice(first).filter((segment) => segment !== '' && segment !== '.')
  return [folder, realOf(folder)].some((base) => {
    const prefix = base.endsWith('/') ? base : `${base}/`
    return name.startsWith(prefix) && matchesSegments(name.slice(prefix.length).split('/'), rest)
  })
}

function matchesSegments(names: readonly string[], [segment, ...rest]: readonly string[]): boolean {
  const [name, ...below] = names
  if (segment === undefined) return name === undefined
  if (name === undefined) return false
  if (segment !== '**') return patternOf(segment).test(name) && matchesSegments(below, rest)
  if (matchesSegments(names, rest.length > 0 ? rest : ['*'])) return true
  return !name.startsWith('.') && matchesSegments(below, [segment, ...rest])
}

/** Without links, as far as the path is there. */
function realOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const folder = dirname(path)
    return folder === path ? path : join(realOf(folder), basename(path))
  }
}
