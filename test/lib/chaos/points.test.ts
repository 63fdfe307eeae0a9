import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { surviving } from '../../../lib/chaos/points.ts'

test('what a run survives has happened only where it came to the point', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bizon-points-'))
  try {
    const { env, passed } = surviving({ side: 'run', name: 'commit.after', at: 2 }, 'term', folder)
    expect(env.run?.BIZON_FAILPOINT).toBe('commit.after@2:term')
    expect(await passed()).toBe(false)
    await appendFile(env.run?.BIZON_FAULTS_TO as string, 'commit.before\ncommit.after\n')
    expect(await passed()).toBe(false)
    await appendFile(env.run?.BIZON_FAULTS_TO as string, 'commit.before\ncommit.after\n')
    expect(await passed()).toBe(true)
  } finally {
    await rm(folder, { recursive: true })
  }
})
