// What a run would do to tables, or folders of parts: it is recovered by the code of a run, with what it would change noted
// and not done, and this says in words what the notes and the recovered state come to.

import type { Adds, PlannedChange, Run } from '../../lib/destination.ts'
import { emptiedTargets, type Held, replaces } from './recovery.ts'

/** See `DestinationDefinition.adds`. */
export function addsOf(options: {
  readonly primary_key: readonly string[]
  readonly replace_scope: readonly string[]
}): Adds | undefined {
  if (options.primary_key.length > 0) return 'merge'
  return options.replace_scope.length > 0 ? 'replace_scope' : undefined
}

/** A statement that was not sent, and how many rows it would have removed. */
export interface Note {
  readonly sql: string
  readonly count: number
}

/** The rows that a DELETE would remove; undefined: it is another statement. */
export function countOfDelete(sql: string): string | undefined {
  const [, what] = /^\s*DELETE FROM\s+([\s\S]*)$/.exec(sql) ?? []
  return what === undefined ? undefined : `SELECT count(*) AS count FROM ${what}`
}

/** What an earlier run has left, and is put right. `hidden`: the table of the state. */
export function repairsOf(
  notes: readonly Note[],
  { hidden, shown }: { readonly hidden: string; readonly shown: (name: string) => string },
): PlannedChange[] {
  return notes.flatMap(({ sql, count }): PlannedChange[] => {
    const [, verb, quoted = ''] =
      /^\s*(DROP TABLE IF EXISTS|DELETE FROM)\s+((?:"(?:[^"]|"")*"|[\w$.])+)/.exec(sql) ?? []
    const name = quoted.replaceAll(/"((?:[^"]|"")*)"/g, (_, inner: string) => inner.replaceAll('""', '"'))
    if (verb === undefined || name.endsWith(hidden)) return []
    if (verb === 'DROP TABLE IF EXISTS')
      return [{ target: shown(name), action: 'remove', reason: 'an earlier run has left it' }]
    if (count === 0) return []
    const rows = count === 1 ? 'a row' : `${count} rows`
    return [{ target: shown(name), action: 'cut', reason: `by ${rows} of a run that is taken back` }]
  })
}

interface Recovered extends Pick<Held, 'mode' | 'complete' | 'phase'> {
  /** What the run has written to so far. */
  readonly written: readonly string[]
  readonly published: readonly string[]
}

interface Targets {
  /** The configured one. */
  readonly target: string
  readonly adds?: Adds | undefined
  readonly onEmpty: 'publish' | 'keep'
  readonly shown: (target: string) => string
  /** See `orphanedTables`. */
  orphansOf?(staged: readonly string[], published: readonly string[]): readonly string[]
  /** Undefined: there is none. */
  find(target: string): Promise<{ readonly bytes?: number | undefined } | undefined>
}

/** What becomes of what readers see. */
export async function publishedBy(
  run: Pick<Run, 'keepsOthers'>,
  state: Recovered,
  { target, adds, onEmpty, shown, orphansOf, find }: Targets,
): Promise<PlannedChange[]> {
  if (state.phase === 'published' && state.mode !== 'stream') return []
  const existing = replaces(state) ? 'replace' : (adds ?? 'append')
  const named = [...new Set([target, ...state.written])]
  const changes: PlannedChange[] = []
  for (const one of named) {
    const found = await find(one)
    const bytes = found?.bytes === undefined ? {} : { bytes: found.bytes }
    changes.push({ target: shown(one), action: found ? existing : 'create', ...bytes })
  }
  if (!replaces(state)) return changes
  const { published } = state
  const orphans = orphansOf?.(named, published) ?? []
  const { keepsOthers = false } = run
  const emptied = emptiedTargets({ target, staged: named, published, keepsOthers, onEmpty, orphans })
  for (const one of published) {
    if (named.includes(one)) continue
    const action = emptied.includes(one) ? 'empty' : 'keep'
    changes.push({ target: shown(one), action, reason: 'unless records are for it' })
  }
  return changes
}
