import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { stopping } from '../../../lib/chaos/points.ts'

test('a stop has fired only where the run came to its point', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bizon-points-'))
  try {
    const { env, fired } = stopping({ side: 'run', name: 'commit.after', at: 2 }, folder)
    expect(env.run?.BIZON_FAILPOINT).toBe('commit.after@2:term')
    expect(await fired()).toBe(false)
    await appendFile(env.run?.BIZON_FAULTS_TO as string, 'commit.before\ncommit.after\n')
    expect(await fired()).toBe(false)
    await appendFile(env.run?.BIZON_FAULTS_TO as string, 'commit.before\ncommit.after\n')
    expect(await fired()).toBe(true)
  } finally {
    await rm(folder, { recursive: true })
  }
})
