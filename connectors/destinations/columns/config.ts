// The key of destinations whose columns follow the records.

import * as z from 'zod'
import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import { POLICIES, type Policy } from './evolve.ts'

export const onSchemaChange = z
  .enum(POLICIES)
  .optional()
  .describe(
    'With `unnest: columns`, what a record does that no column takes: `evolve` adds the column or widens it, from whole numbers to any; `freeze` leaves new fields out, and says which; `fail` stops the run. A value of another type fails with each. Default `evolve`.',
  )

interface Following {
  readonly unnest: boolean | 'columns'
  readonly on_schema_change?: Policy | undefined
}

/** What counts. Rejects one that would not. */
export function policyOf({ unnest, on_schema_change: policy }: Following): Policy {
  if (policy === undefined || unnest === 'columns') return policy ?? 'evolve'
  throw new InvalidKey(inDestination('on_schema_change'), 'is given, and unnest is not columns', {
    hint: 'Set unnest: columns, or leave it out: columns that are listed in record_schemas do not change.',
  })
}
