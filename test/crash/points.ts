// The fault points: which there are, from the source's own text, and which a run passes how often, as it notes itself.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Execution, NIGHTLY, ROOT, type Workspace } from './workspace.ts'

/** The name of every point in the product. */
export async function pointNames(): Promise<Set<string>> {
  const names = new Set<string>()
  for (const folder of ['lib', 'connectors', 'bin']) {
    const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })
    for (const entry of entries.filter(({ name }) => name.endsWith('.ts'))) {
      const text = await readFile(join(entry.parentPath, entry.name), 'utf8')
      for (const match of text.matchAll(/(?<!function )faultPoint\(([^)]*)\)/g)) {
        const literal = /^'([a-z_.]+)'$/.exec(match[1] ?? '')
        if (!literal) throw new Error(`${entry.name}: ${match[0]} has a name that cannot be read from the text`)
        names.add(literal[1] as string)
      }
    }
  }
  return names
}

/** How often a run in a copy of the folder passes each point. */
export async function passesOf(
  place: Workspace,
  execute: (place: Workspace, execution: Execution) => Promise<unknown>,
): Promise<Map<string, number>> {
  const copy = await place.copy()
  try {
    await execute(copy, { env: { BIZON_FAULTS_TO: copy.path('points') } })
    const passes = new Map<string, number>()
    for (const name of (await copy.read('points'))?.toString().split('\n').slice(0, -1) ?? []) {
      passes.set(name, (passes.get(name) ?? 0) + 1)
    }
    return passes
  } finally {
    await copy.remove()
  }
}

/**
 * At which passings of a point to kill: the first, the second and the last; nightly at up to twelve more between.
 * `few`: by day the second alone.
 */
export function occurrences(passes: number, few = false): number[] {
  const between = Array.from({ length: 12 }, (_, at) => at + 3)
  const chosen = NIGHTLY ? [1, 2, ...between, passes] : few ? [Math.min(2, passes)] : [1, 2, passes]
  return [...new Set(chosen)].filter((at) => at <= passes)
}
