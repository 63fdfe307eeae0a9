import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { Linked } from '../../lib/wait.ts'

test('a linked controller aborts with the first of its signals, for its reason, and leaves nothing behind once it is let go of', () => {
  const [one, two] = [new AbortController(), new AbortController()]
  const [linked, own, free] = Array.from({ length: 3 }, () => new Linked(one.signal, two.signal)) as [
    Linked,
    Linked,
    Linked,
  ]
  own.abort('its own')
  free.release()
  two.abort('the second')
  one.abort('the first')
  expect([linked, own, free].map(({ signal }) => signal.reason)).toEqual(['the second', 'its own', undefined])
  expect(new Linked(new AbortController().signal, one.signal).signal.reason).toBe('the first')
  const lives = new AbortController()
  for (let at = 0; at < 100; at++) new Linked(lives.signal).release()
  expect(getEventListeners(lives.signal, 'abort')).toEqual([])
})
