import { describe, expect, test } from 'vitest'
import {
  beginning,
  emptiedTargets,
  followsUnknown,
  type Held,
  ownState,
  publisherOf,
  standingOf,
  type Words,
} from '../../../connectors/destinations/recovery.ts'
import type { Run } from '../../../lib/destination.ts'
import { runOf } from '../../support/load.ts'

const WORDS: Words = {
  state: 'THE STATE',
  target: 'THE TARGET',
  told: 'what counts',
  otherPipeline: 'Choose another.',
  removing: 'remove it',
  whole: 'the target',
}
const CHECKPOINT = { run: 'a', page: 2, rows: 6, position: { at: 2 }, end: false }
const END = { ...CHECKPOINT, position: null, end: true }
const RECEIPT = { state: 'here' }

/** As run `a` left it. */
const held = (mode: Run['mode'], changes: Partial<Held> = {}): Held => ({
  ...beginning(runOf('a', mode, 5)),
  complete: mode === 'full_refresh',
  checkpoint: CHECKPOINT,
  publishedBy: null,
  ...changes,
})
const run = (id: string, mode: Run['mode'], changes: Partial<Run> = {}): Run => ({
  ...runOf(id, mode, 6, mode === 'full_refresh'),
  ...changes,
})

describe('whose a state is', () => {
  test.each([
    ['the same run', held('full_refresh'), run('a', 'full_refresh'), 'own'],
    ['the same process again', held('full_refresh'), run('a', 'full_refresh', { epoch: 5 }), 'own'],
    ['the same run, that now replaces', held('incremental'), run('a', 'incremental', { complete: true }), 'none'],
    ['a stream, of which that says nothing', held('stream'), run('a', 'stream', { complete: true }), 'own'],
    ['the same run in another mode', held('incremental'), run('a', 'stream'), 'none'],
    ['another run', held('full_refresh'), run('b', 'full_refresh'), 'none'],
    ['another run of a stream', held('stream'), run('b', 'stream'), 'taken over'],
    ['one that starts over', held('stream'), run('b', 'stream', { startOver: true }), 'none'],
    ['one of a stream that ended', held('stream', { checkpoint: END }), run('b', 'stream'), 'none'],
    ['one of a stream that had not begun', held('stream', { checkpoint: null }), run('b', 'stream'), 'none'],
    ['nothing', undefined, run('b', 'full_refresh'), 'none'],
  ] as const)('%s', (_, found, of, expected) => {
    const own = ownState(found, of, WORDS)
    if (expected === 'none') expect(own).toBeUndefined()
    else if (expected === 'own') expect(own).toEqual(found)
    else expect(own).toEqual({ ...found, run: 'b', checkpoint: { ...CHECKPOINT, run: 'b' } })
  })

  test.each(['pipeline', 'source', 'stream'] as const)('of another %s: refused', (key) => {
    expect(() => ownState(held('stream'), run('a', 'stream', { [key]: 'x' }), WORDS)).toThrow(
      expect.objectContaining({
        code: 'edited',
        message: expect.stringContaining('THE STATE belongs to pipeline trial/test/main, not to '),
      }),
    )
  })

  test('of a newer process: fenced', () => {
    expect(() => ownState(held('stream', { epoch: 7 }), run('a', 'stream'), WORDS)).toThrow(
      expect.objectContaining({ code: 'fenced', hint: expect.stringContaining('or remove it.') }),
    )
  })

  test.each([
    ['missing', undefined, 'THE STATE is missing, so what counts is not known'],
    ['of another run', held('full_refresh'), 'THE STATE is of run a, not of the one to go on with, so what counts'],
  ])('%s, where the state store knows of one: refused', (_, found, message) => {
    const stored = { ...CHECKPOINT, run: 'b' }
    const of = (receipt: object): Run => run('b', 'full_refresh', { stored: { ...stored, ...receipt } })
    expect(() => ownState(found, of({ receipt: RECEIPT }), WORDS)).toThrow(
      expect.objectContaining({ code: 'edited', message: expect.stringContaining(message) }),
    )
    expect(ownState(found, of({}), WORDS)).toBeUndefined()
  })
})

describe('what another run has published', () => {
  const published = (changes: Partial<Held> = {}) =>
    held('incremental', { phase: 'published', publishedBy: 'a', previous: 'before', checkpoint: END, ...changes })
  const behind = (previous: string | undefined, changes: Partial<Run> = {}): Run =>
    run('b', 'incremental', { ...(previous !== undefined && { previous }), ...changes })
  const MAY = { hasWritten: true, canUndo: true }

  test.each([
    ['the run before', published(), behind('a'), 'stays'],
    ['one that the store does not know of', published(), behind('before'), 'withdrawn'],
    ['a run of which nothing is asked', published(), behind(undefined), 'stays'],
    ['one that was given up', published({ previous: null }), behind(undefined, { givenUp: ['a'] }), 'withdrawn'],
    [
      'another than the one that was given up',
      published({ previous: null }),
      behind(undefined, { givenUp: ['x'] }),
      'stays',
    ],
    ['nobody', published({ publishedBy: null }), behind('before'), 'stays'],
    ['anybody, when everything is replaced', published(), behind('before', { complete: true }), 'stays'],
    ['anybody, of a full refresh', published(), run('b', 'full_refresh'), 'stays'],
    ['anybody, of a stream', published(), run('b', 'stream'), 'stays'],
  ] as const)('by %s: %s', (_, found, of, expected) => {
    expect(standingOf(found, of, MAY, WORDS)).toBe(expected)
  })

  test.each([
    ['it replaced', published({ complete: true }), MAY],
    ['it was a full refresh', published({ mode: 'full_refresh' }), MAY],
    ['it was a stream', held('stream', { publishedBy: null }), MAY],
    ['it was not the last one', published({ previous: 'x' }), MAY],
    ['another run is under way', published({ phase: 'staging', run: 'c' }), MAY],
    ['its rows are not known', published(), { ...MAY, canUndo: false }],
  ] as const)('and not known to the store, refused because %s', (_, found, may) => {
    expect(() => standingOf(found, behind('before'), may, WORDS)).toThrow(
      expect.objectContaining({
        code: 'edited',
        message: expect.stringContaining('THE TARGET was last published by run'),
        hint: expect.stringContaining('replace the target with --reset'),
      }),
    )
  })

  test('a stream publishes what it writes', () => {
    expect(publisherOf(held('stream', { publishedBy: 'x' }), true)).toBe('a')
    expect(publisherOf(held('stream', { publishedBy: 'x' }), false)).toBe('x')
    expect(publisherOf(held('incremental', { publishedBy: 'x' }), true)).toBe('x')
  })

  test('what follows a run of which nothing is known here', () => {
    const begun = (mode: Run['mode'], complete = false) => ({ ...held(mode), complete })
    expect(followsUnknown(begun('incremental'), behind('x'), 0)).toBe(true)
    expect(followsUnknown(begun('incremental'), behind(undefined), 0)).toBe(false)
    expect(followsUnknown(begun('incremental'), behind('x'), 1)).toBe(false)
    expect(followsUnknown({ ...begun('incremental'), publishedBy: 'x' }, behind('x'), 0)).toBe(false)
    expect(followsUnknown(begun('incremental', true), behind('x'), 0)).toBe(false)
    expect(followsUnknown(begun('stream'), behind('x'), 0)).toBe(false)
  })
})

test('which targets a run that replaces leaves empty', () => {
  const given = {
    target: 't',
    staged: [] as string[],
    published: ['t', 'u'],
    keepsOthers: false,
    onEmpty: 'publish' as const,
  }
  expect(emptiedTargets(given)).toEqual(['t', 'u'])
  expect(emptiedTargets({ ...given, published: ['u'] })).toEqual(['u', 't'])
  expect(emptiedTargets({ ...given, published: [] })).toEqual(['t'])
  expect(emptiedTargets({ ...given, staged: ['t', 'v'] })).toEqual(['u'])
  expect(emptiedTargets({ ...given, staged: ['v'], published: [] })).toEqual([])
  expect(emptiedTargets({ ...given, keepsOthers: true })).toEqual([])
  expect(emptiedTargets({ ...given, onEmpty: 'keep' })).toEqual([])
})
