// Columns that follow the records, killed around every change of them: the next run ends with the exact rows, and each
// column once. Twins with one fault each must be found.

import { describe, expect, test } from 'vitest'
import { type Crash, crash, type Kind } from './columns.ts'
import { postgres } from './columns-postgres.ts'
import { sqlite } from './columns-sqlite.ts'
import { buildTwin, checkReplacements, type Replacement } from './twin.ts'
import { eachOf, NIGHTLY, TEST_LIMIT_MS } from './workspace.ts'

const KINDS: readonly Kind[] = [postgres, sqlite]

/** By day one of each sort. */
const byDay: readonly Crash[] = [
  { mode: 'stream', failpoints: ['ddl.after@2', 'commit.after@5'] },
  { mode: 'incremental', failpoints: ['ddl.after@2', 'publish.mid@1'] },
  { mode: 'full_refresh', failpoints: ['commit.after@3'], changesAfter: true },
]
const MODES = ['stream', 'incremental', 'full_refresh'] as const
const POINTS = ['ddl.after', 'stage.mid', 'stage.after', 'commit.before', 'commit.mid', 'commit.after', 'cursor.before']
const byNight: readonly Crash[] = MODES.flatMap((mode): Crash[] => [
  ...POINTS.flatMap((point) => [1, 2, 3].map((at) => ({ mode, failpoints: [`${point}@${at}`] }))),
  ...(mode === 'stream' ? [] : ['publish.before', 'publish.mid', 'publish.after']).map((point) => ({
    mode,
    failpoints: [point],
  })),
  { mode, failpoints: ['ddl.after@3', 'ddl.after@1', 'stage.mid@2', 'commit.mid@1'] },
  { mode, failpoints: ['commit.after@2'], changesAfter: true },
])

describe.each(KINDS)('$name', (kind) => {
  test('killed around changes of columns, it is resumed to the exact rows', { timeout: TEST_LIMIT_MS }, async () => {
    expect(await eachOf([...byDay, ...(NIGHTLY ? byNight : [])], (one) => crash(kind, one))).toEqual([])
  })
})

interface Twin {
  readonly title: string
  readonly kind: Kind
  readonly replacements: readonly Replacement[]
  readonly found: Crash
}

const twins: readonly Twin[] = [
  {
    title: 'postgres: columns are committed before the rows that need them',
    kind: postgres,
    replacements: [
      {
        file: 'connectors/destinations/postgres/follow.ts',
        find: "  faultPoint('ddl.after')",
        replace: "  await transaction.query('COMMIT; BEGIN')\n  faultPoint('ddl.after')",
      },
    ],
    found: { mode: 'stream', failpoints: ['ddl.after@2'] },
  },
  {
    title: 'postgres: the published table gets its columns before the run has ended',
    kind: postgres,
    replacements: [
      {
        file: 'connectors/destinations/postgres/publish.ts',
        find: '    if (follows) await alterTable(transaction, main, columns)\n    await index',
        replace: `    if (follows) await alterTable(transaction, main, columns)
    if (follows) await transaction.query('COMMIT; BEGIN')\n    await index`,
      },
    ],
    found: { mode: 'incremental', failpoints: ['publish.mid@1'] },
  },
  {
    title: 'sqlite: columns are committed before the rows that need them',
    kind: sqlite,
    replacements: [
      {
        file: 'connectors/destinations/sqlite/follow.ts',
        find: "    faultPoint('ddl.after')",
        replace: "    await session.commit()\n    await session.begin()\n    faultPoint('ddl.after')",
      },
    ],
    found: { mode: 'stream', failpoints: ['ddl.after@2'] },
  },
  {
    title: 'sqlite: the state does not say what the columns keep',
    kind: sqlite,
    replacements: [
      {
        file: 'connectors/destinations/sqlite.ts',
        find: 'writtenTo: (table) => (this.#following ? { kinds: this.#following.kindsOf(table) } : {}),',
        replace: 'writtenTo: () => ({}),',
      },
      {
        file: 'connectors/destinations/sqlite/publish.ts',
        find: 'columnsFor(site, staged.kinds ?? {})',
        replace: 'site.columnsOf(table).all',
      },
    ],
    found: { mode: 'stream', failpoints: ['commit.after@6'] },
  },
]

test.each(twins)('$title: what it replaces is there', ({ replacements }) => checkReplacements(replacements))

/** By day one of each destination. */
const built = NIGHTLY ? twins : twins.filter(({ kind }, at) => twins.findLastIndex((twin) => twin.kind === kind) === at)

test.each(built)('is found: $title', { timeout: TEST_LIMIT_MS }, async ({ title, kind, replacements, found }) => {
  const twin = await buildTwin(`columns-${title}`, replacements)
  try {
    const complaints = await crash(kind, found, twin.program)
    expect(complaints.filter((text) => !text.includes('did not fire'))).not.toEqual([])
  } finally {
    await twin.remove()
  }
})
