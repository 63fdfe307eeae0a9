import { describe, expect, test } from 'vitest'
import { listCases, record, recorded, runCase } from '../support/cases.ts'

describe('each command line prints what was recorded', async () => {
  test.for(await listCases())('%s', async (name) => {
    const printed = await runCase(name)
    if (process.env.BIZON_RECORD) await record(name, printed)
    else expect(printed).toEqual(await recorded(name))
  })
})
