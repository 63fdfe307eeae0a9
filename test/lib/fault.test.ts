// The fault points that do not end the process: what fails there, and what is cut.

import { afterEach, expect, test, vi } from 'vitest'
// As where a file before this one in the same process has it: what is armed is asked for once.
import { faultPoint as inert } from '../../lib/fault.ts'

inert('stage.mid')

afterEach(() => {
  vi.unstubAllEnvs()
  vi.resetModules()
})

async function armed(failpoint: string) {
  vi.resetModules()
  vi.stubEnv('BIZON_FAILPOINT', failpoint)
  return import('../../lib/fault.ts')
}

test('enospc fails as a write to a full disk does, once, at the passing that is meant', async () => {
  const { faultPoint } = await armed('stage.mid@2:enospc')
  faultPoint('stage.mid')
  faultPoint('stage.after')
  expect(() => faultPoint('stage.mid')).toThrow(expect.objectContaining({ code: 'ENOSPC', syscall: 'write' }))
  faultPoint('stage.mid')
})

test('cut cuts each connection that is open, and is refused where there is none', async () => {
  const { cuttable, faultPoint } = await armed('commit.mid:cut')
  const cut: string[] = []
  cuttable(() => cut.push('one'))
  const forget = cuttable(() => cut.push('closed before'))
  cuttable(() => cut.push('other'))
  forget()
  faultPoint('commit.mid')
  expect(cut).toEqual(['one', 'other'])
  const { faultPoint: alone } = await armed('commit.mid:cut')
  expect(() => alone('commit.mid')).toThrow('no connection is open at commit.mid')
})
