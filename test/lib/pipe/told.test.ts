import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { TellingPartitions } from '../../../lib/pipe/queue/told.ts'
import { listening } from '../../support/queued.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const first = { index: 0, of: 2 }
const second = { index: 1, of: 2 }

test('of partitions that are given back at once nothing is said, and of those that stay away it is', () => {
  const said: string[] = []
  const told = new TellingPartitions({ ...listening(), info: (what: string) => void said.push(what) })
  for (const one of [first, second]) told.come(one)
  for (const one of [first, second]) told.go(one)
  told.come(second)
  expect(said).toEqual(['loads partition 1 of 2', 'loads partition 2 of 2'])
  vi.advanceTimersByTime(60_000)
  expect(said.slice(2)).toEqual(['partition 1 of 2 goes to another loader'])
  told.come(first)
  told.come(first)
  expect(said.slice(3)).toEqual(['loads partition 1 of 2'])
  told.go(first)
  told.end()
  vi.advanceTimersByTime(60_000)
  expect(said).toHaveLength(4)
})
