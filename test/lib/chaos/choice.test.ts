import { describe, expect, test } from 'vitest'
import { chosenOf } from '../../../lib/chaos/choice.ts'
import type { Operation } from '../../../lib/chaos/points.ts'
import type { Side } from '../../../lib/chaos/process.ts'

const operations = (side: Side, count: number): Operation[] =>
  Array.from({ length: count }, (_, at) => ({ side, name: at % 10 === 9 ? 'publish.mid' : 'commit.after', at: at + 1 }))

const pipe = ['extract', 'load'] as const
const rounds = [
  { title: '', operations: [...operations('extract', 4), ...operations('load', 40)] },
  { title: 'second run: ', operations: [...operations('extract', 2), ...operations('load', 20)] },
] as const

const countsOf = (kills: number): number[] => {
  const chosen = chosenOf(rounds, pipe, { kills, seed: 3 })
  expect(new Set(chosen.map(({ operation }) => operation)).size).toBe(chosen.length)
  return rounds.flatMap((round) =>
    pipe.map((side) => chosen.filter((one) => one.round === round && one.operation.side === side).length),
  )
}

describe('of each round, and each side of a pipe, its share', () => {
  test.each([
    [1, [0, 1, 0, 0]],
    [4, [1, 1, 1, 1]],
    [11, [1, 6, 1, 3]],
    [66, [4, 40, 2, 20]],
    [1000, [4, 40, 2, 20]],
  ])('of %i', (kills, expected) => expect(countsOf(kills)).toEqual(expected))
})

test('only those with a name', () => {
  const chosen = chosenOf(rounds, pipe, { kills: 9, seed: 3, only: 'second run: load: publish' })
  expect(chosen.map(({ round, operation }) => `${round.title}${operation.name}@${operation.at}`)).toEqual([
    'second run: publish.mid@10',
    'second run: publish.mid@20',
  ])
  expect(() => chosenOf(rounds, pipe, { kills: 9, seed: 3, only: 'nowhere' })).toThrow('--only "nowhere": no operation')
})
