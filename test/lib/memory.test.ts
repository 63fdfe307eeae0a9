// How the sizes are divided; that a limit holds is tried with processes (test/bin/memory.test.ts).

import { expect, test } from 'vitest'
import { memorySizes, shareMemory } from '../../lib/memory.ts'

test('those who share it have a part of it each, and all of it again once the others have gone', () => {
  const all = memorySizes()
  const leave = [shareMemory()]
  expect(memorySizes()).toEqual(all)
  leave.push(shareMemory())
  expect(memorySizes()).toEqual({ ...all, readAhead: all.readAhead / 2, gathered: all.gathered / 2 })
  for (let more = 0; more < 62; more++) leave.push(shareMemory())
  expect(memorySizes()).toMatchObject({ readAhead: 1 << 20, gathered: 1 << 20 })
  leave[0]?.()
  leave[0]?.()
  expect(leave.length).toBe(64)
  for (const one of leave) one()
  expect(memorySizes()).toEqual(all)
})
