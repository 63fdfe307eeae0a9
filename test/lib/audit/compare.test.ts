// What rows that come back are compared with, whatever gives them.

import { expect, test } from 'vitest'
import { compare } from '../../../lib/audit/compare.ts'
import type { ExpectedRun, Part } from '../../../lib/audit/expected.ts'
import type { Reader, StoredRow } from '../../../lib/audit/reader.ts'
import { RawJson } from '../../../lib/record.ts'
import { idSuffixOf } from '../../../lib/row-id.ts'
import { never } from '../../../lib/wait.ts'

const PREFIX = 'a'.repeat(16)
const row = (number: number, prefix = PREFIX): StoredRow => ({
  rowId: prefix + idSuffixOf(number),
  recordId: `r${number}`,
  data: RawJson.from('{}'),
})

/** Of a topic to which others write as well. `gone`: why some of it may be missing. */
function topic(rows: readonly StoredRow[], gone?: string): Reader {
  return {
    keeps: { of: 'records', ids: true, onlyAdds: true, inOrder: false },
    place: (id) => `topic ${id}`,
    async *read() {
      yield rows
    },
    gone: () => gone,
    close: async () => {},
  }
}

function runOf(rows: number): ExpectedRun {
  const parts = new Map<string, Part[]>()
  const run = { id: 'run', prefix: PREFIX, rows, open: false, parts }
  parts.set('orders', [{ run, from: 0, to: rows, rows }])
  return run
}

test.each([
  { gone: undefined, kinds: ['missing', 'unknown'] },
  { gone: 'it is compacted', kinds: [] },
])('a row that is missing beside rows of others is lost, unless it may be gone: $gone', async ({ gone, kinds }) => {
  const reader = topic([row(0), row(2), row(0, 'b'.repeat(16))], gone)
  const { differences, untold } = await compare(reader, { runs: [runOf(3)] }, never)
  expect(differences.map(({ kind }) => kind)).toEqual(kinds)
  expect(untold.length).toBeGreaterThan(0)
})
