import { describe, expect, test } from 'vitest'
import type { Checkpoint } from '../../lib/checkpoint.ts'
import type { BizonError } from '../../lib/errors.ts'
import { type DecisionInput, decide, reconcile } from '../../lib/job.ts'
import type { SyncMode } from '../../lib/source.ts'
import type { Job, ResetRequest } from '../../lib/state.ts'

const NOON = new Date('2024-05-01T12:00:00.000Z')

function job(id: string, mode: SyncMode, fields: Partial<Job> = {}): Job {
  return {
    id,
    name: 'p',
    source: 's',
    stream: 't',
    mode,
    status: 'running',
    attempt: 0,
    createdAt: NOON,
    ours: true,
    complete: false,
    ...fields,
  }
}

const done = (mode: SyncMode, fields: Partial<Job> = {}): Job => job('done', mode, { status: 'succeeded', ...fields })
const pending = (id: string): ResetRequest => ({ id, requestedAt: NOON })
const taken = (id: string, by: string): ResetRequest => ({ id, requestedAt: NOON, consumedByJobId: by })

function input(mode: SyncMode, fields: Partial<DecisionInput> = {}): DecisionInput {
  return { mode, force: false, reset: false, unfinished: [], resets: [], resumable: false, ...fields }
}

/** What a decision says, but for its words. */
function outcome(given: DecisionInput): unknown {
  const { reasons, obstacle, warnings, job: chosen, ...rest } = decide(given)
  return { ...rest, ...(chosen && { job: chosen.id }) }
}

const START = { action: 'start', cancel: [], consume: [], bindReset: false, complete: true, asReset: false }
const RESUME = { ...START, action: 'resume', job: 'a' }
const INCREMENT = { complete: false, since: { time: NOON }, previous: 'done' }

const full = job('a', 'full_refresh', { complete: true })
const increment = job('a', 'incremental')
const first = job('a', 'incremental', { complete: true })
const stream = job('a', 'stream')

describe('the job of a full refresh', () => {
  test.each<[title: string, given: Partial<DecisionInput>, expected: object]>([
    ['nothing unfinished starts a run', {}, START],
    ['an earlier success starts a run without a watermark', { lastSucceeded: done('full_refresh') }, START],
    [
      'an unfinished run is cancelled when positions do not survive',
      { unfinished: [full] },
      { ...START, cancel: ['a'] },
    ],
    ['an unfinished run is resumed when positions survive', { unfinished: [full], resumable: true }, RESUME],
    [
      'a failed run is resumed when positions survive',
      { unfinished: [job('a', 'full_refresh', { status: 'failed' })], resumable: true },
      RESUME,
    ],
    [
      'force_ignore_checkpoint starts over although positions survive',
      { unfinished: [full], resumable: true, force: true },
      { ...START, cancel: ['a'] },
    ],
    [
      'a run of another program is cancelled although positions survive',
      { unfinished: [job('a', 'full_refresh', { ours: false })], resumable: true },
      { ...START, cancel: ['a'] },
    ],
    [
      'of two unfinished runs the newest is resumed and the other cancelled',
      { unfinished: [full, job('b', 'full_refresh')], resumable: true },
      { ...RESUME, cancel: ['b'] },
    ],
    [
      'an unfinished incremental run is cancelled',
      { unfinished: [increment], resumable: true },
      { ...START, cancel: ['a'] },
    ],
    ['the reset flag changes nothing', { reset: true }, START],
    [
      'requests for a reset are taken off the list',
      { resets: [pending('r1'), pending('r2')], unfinished: [full], resumable: true },
      { ...RESUME, consume: ['r1', 'r2'] },
    ],
  ])('%s', (_, given, expected) => {
    expect(outcome(input('full_refresh', given))).toEqual(expected)
  })
})

describe('the job of an incremental stream', () => {
  test.each<[title: string, given: Partial<DecisionInput>, expected: object]>([
    ['the first run fetches everything and replaces', {}, START],
    [
      'the run after a success fetches what is newer than its start',
      { lastSucceeded: done('incremental') },
      { ...START, ...INCREMENT },
    ],
    [
      "the watermark of the source goes with the last run's start",
      { lastSucceeded: done('incremental', { watermark: { seq: 7 } }) },
      { ...START, ...INCREMENT, since: { time: NOON, value: { seq: 7 } } },
    ],
    [
      'a full refresh that succeeded counts as the last run',
      { lastSucceeded: done('full_refresh') },
      { ...START, ...INCREMENT },
    ],
    ['a stream run is no run to add to: a first run follows it', { lastSucceeded: done('stream') }, START],
    [
      'nor is one that an unfinished stream has written behind',
      { lastSucceeded: done('incremental'), unfinished: [stream] },
      { ...START, cancel: ['a'] },
    ],
    [
      'a stream that another program left before the last run is not behind it',
      { lastSucceeded: done('incremental'), unfinished: [{ ...stream, ours: false, createdAt: new Date(0) }] },
      { ...START, ...INCREMENT, cancel: ['a'] },
    ],
    [
      'an unfinished run keeps what it adds to, whatever streams another program left',
      { lastSucceeded: done('incremental'), unfinished: [increment, { ...stream, id: 'b', ours: false }] },
      { ...RESUME, ...INCREMENT, cancel: ['b'] },
    ],
    [
      'an unfinished run of another configuration is cancelled, and the watermark stays',
      {
        lastSucceeded: done('incremental'),
        unfinished: [{ ...increment, configHash: 'old' }],
        configHash: 'new',
      },
      { ...START, ...INCREMENT, cancel: ['a'] },
    ],
    [
      'an unfinished run whose configuration nobody noted is resumed',
      { lastSucceeded: done('incremental'), unfinished: [increment], configHash: 'new' },
      { ...RESUME, ...INCREMENT },
    ],
    [
      'an unfinished run is resumed, whether or not positions survive a full refresh',
      { unfinished: [increment], lastSucceeded: done('incremental') },
      { ...RESUME, ...INCREMENT },
    ],
    [
      'a failed run is resumed',
      { unfinished: [job('a', 'incremental', { status: 'failed' })], lastSucceeded: done('incremental') },
      { ...RESUME, ...INCREMENT },
    ],
    ['a first run that is resumed still replaces', { unfinished: [first] }, RESUME],
    [
      'a first run that is resumed still replaces when a success has turned up',
      { unfinished: [first], lastSucceeded: done('incremental') },
      RESUME,
    ],
    [
      'a later run that is resumed still adds when its predecessor was deleted',
      { unfinished: [increment] },
      { ...RESUME, complete: false },
    ],
    [
      'force_ignore_checkpoint starts over with the same watermark',
      { unfinished: [increment], lastSucceeded: done('incremental'), force: true },
      { ...START, ...INCREMENT, cancel: ['a'] },
    ],
    [
      'a run of another program is cancelled, and the watermark stays',
      { unfinished: [job('a', 'incremental', { ours: false })], lastSucceeded: done('incremental', { ours: false }) },
      { ...START, ...INCREMENT, cancel: ['a'] },
    ],
    [
      'of three unfinished runs the newest is resumed and the others cancelled',
      { unfinished: [increment, job('b', 'incremental'), job('c', 'incremental')], lastSucceeded: done('incremental') },
      { ...RESUME, ...INCREMENT, cancel: ['b', 'c'] },
    ],
    [
      'an unfinished full refresh is cancelled',
      { unfinished: [full], lastSucceeded: done('incremental') },
      { ...START, ...INCREMENT, cancel: ['a'] },
    ],
    [
      'an unfinished stream run is cancelled, and with no success everything is fetched',
      { unfinished: [stream] },
      { ...START, cancel: ['a'] },
    ],
  ])('%s', (_, given, expected) => {
    expect(outcome(input('incremental', given))).toEqual(expected)
  })
})

describe('a reset', () => {
  const RESET = { ...START, asReset: true }
  const lastSucceeded = done('incremental')

  test.each<[title: string, given: Partial<DecisionInput>, expected: object]>([
    ['the flag starts a reset and records a request for it', { reset: true }, { ...RESET, bindReset: true }],
    ['a pending request starts a reset and is taken', { resets: [pending('r1')] }, { ...RESET, consume: ['r1'] }],
    [
      'all pending requests are taken together',
      { resets: [pending('r1'), pending('r2')] },
      { ...RESET, consume: ['r1', 'r2'] },
    ],
    [
      'the flag with a pending request records no other',
      { reset: true, resets: [pending('r1')] },
      { ...RESET, consume: ['r1'] },
    ],
    [
      'the flag cancels an unfinished run that is no reset',
      { reset: true, unfinished: [increment] },
      { ...RESET, cancel: ['a'], bindReset: true },
    ],
    [
      'a pending request cancels an unfinished run',
      { resets: [pending('r1')], unfinished: [increment] },
      { ...RESET, cancel: ['a'], consume: ['r1'] },
    ],
    [
      'an unfinished reset is resumed as one',
      { unfinished: [first], resets: [taken('r1', 'a')] },
      { ...RESUME, asReset: true },
    ],
    [
      'the flag resumes an unfinished reset',
      { reset: true, unfinished: [first], resets: [taken('r1', 'a')] },
      { ...RESUME, asReset: true },
    ],
    [
      'a new request on top of an unfinished reset starts over',
      { unfinished: [first], resets: [taken('r1', 'a'), pending('r2')] },
      { ...RESET, cancel: ['a'], consume: ['r2'] },
    ],
    [
      'an unfinished reset that is forced to start over stays a reset',
      { force: true, unfinished: [first], resets: [taken('r1', 'a')] },
      { ...RESET, cancel: ['a'], bindReset: true },
    ],
    [
      'an unfinished reset of another program starts over as a reset',
      { unfinished: [job('a', 'incremental', { ours: false })], resets: [taken('r1', 'a')] },
      { ...RESET, cancel: ['a'], bindReset: true },
    ],
    [
      'a request that a cancelled full refresh had taken is forgotten',
      { unfinished: [full], resets: [taken('r1', 'a')] },
      { ...START, ...INCREMENT, cancel: ['a'] },
    ],
  ])('%s', (_, given, expected) => {
    expect(outcome(input('incremental', { lastSucceeded, ...given }))).toEqual(expected)
  })
})

describe('the job of a stream', () => {
  const STREAM = { ...START, complete: false }

  test.each<[title: string, given: Partial<DecisionInput>, expected: object]>([
    ['nothing unfinished starts a run', {}, STREAM],
    ['the running job is used again', { unfinished: [stream] }, { ...STREAM, action: 'resume', job: 'a' }],
    [
      'the running job of another program is used again',
      { unfinished: [job('a', 'stream', { ours: false })] },
      { ...STREAM, action: 'resume', job: 'a' },
    ],
    [
      'the running job is used again with another configuration',
      { unfinished: [{ ...stream, configHash: 'old' }], configHash: 'new' },
      { ...STREAM, action: 'resume', job: 'a' },
    ],
    ['force_ignore_checkpoint starts over', { unfinished: [stream], force: true }, { ...STREAM, cancel: ['a'] }],
    ['an unfinished full refresh is cancelled', { unfinished: [full] }, { ...STREAM, cancel: ['a'] }],
    ['an earlier success gives no watermark', { lastSucceeded: done('incremental') }, STREAM],
    ['a request for a reset is taken off the list', { resets: [pending('r1')] }, { ...STREAM, consume: ['r1'] }],
  ])('%s', (_, given, expected) => {
    expect(outcome(input('stream', given))).toEqual(expected)
  })
})

describe('what people are told', () => {
  test.each<[title: string, given: DecisionInput, expected: RegExp]>([
    ['that nothing was unfinished', input('full_refresh'), /none is unfinished/],
    [
      'which run is resumed',
      input('full_refresh', { unfinished: [full], resumable: true }),
      /goes on with run a, attempt 2/,
    ],
    [
      'that force_ignore_checkpoint is why',
      input('stream', { unfinished: [stream], force: true }),
      /run a, .*force_ignore_checkpoint/,
    ],
    [
      'both modes when the mode has changed',
      input('stream', { unfinished: [full] }),
      /was full_refresh and now is stream/,
    ],
    [
      'that the configuration has changed',
      input('full_refresh', { unfinished: [{ ...full, configHash: 'old' }], configHash: 'new', resumable: true }),
      /run a, .*its configuration was another/,
    ],
    [
      'that another program made the run',
      input('incremental', { unfinished: [{ ...first, ours: false }] }),
      /another program/,
    ],
    ['that positions do not survive', input('full_refresh', { unfinished: [full] }), /positions/],
    [
      'the watermark',
      input('incremental', { lastSucceeded: done('incremental') }),
      /newer than 2024-05-01T12:00:00\.000Z/,
    ],
    [
      'not the clock, where the source left a watermark of its own',
      input('incremental', { lastSucceeded: done('incremental', { watermark: { seq: 7 } }) }),
      /newer than what the last published run ended with/,
    ],
    ['that the target is replaced by a reset', input('incremental', { reset: true }), /replaces the target: reset/],
    ['that the target is replaced at first', input('incremental'), /replaces the target: no incremental run/],
  ])('%s', (_, given, expected) => {
    const { reasons, warnings } = decide(given)
    expect(reasons.join('\n')).toMatch(expected)
    expect(warnings).toEqual([])
  })

  test('a reset flag or request on another mode is warned of', () => {
    const { warnings } = decide(input('full_refresh', { reset: true, resets: [pending('r1'), pending('r2')] }))
    expect(warnings).toHaveLength(2)
    expect(warnings[0]).toMatch(/reset is ignored: sync_mode is full_refresh/)
    expect(warnings[1]).toMatch(/reset was requested, and is dropped: sync_mode is full_refresh/)
  })
})

describe('where a run goes on', () => {
  const at = (page: number, fields: Partial<Checkpoint> = {}): Checkpoint => ({
    run: 'a',
    page,
    rows: page * 10,
    position: page === 0 ? null : { page },
    end: false,
    ...fields,
  })
  const end = (page: number): Checkpoint => at(page, { position: null, end: true })
  const start = (stored: Checkpoint | undefined, durable: Checkpoint | undefined, resumable = false): unknown =>
    reconcile(stored, durable, { job: full, resumable }).start

  test('at the beginning when neither knows of anything', () => {
    expect(start(undefined, undefined)).toBeUndefined()
  })
  test('where both stand', () => {
    expect(reconcile(at(3), at(3), { job: full, resumable: false })).toEqual({
      start: at(3),
      reason: 'from checkpoint page 3 (30 rows)',
    })
  })
  test('where the destination stands when the store missed its last checkpoint', () => {
    expect(start(at(3), at(4))).toEqual(at(4))
  })
  test('where the destination stands when the store knows of nothing', () => {
    expect(start(undefined, at(4))).toEqual(at(4))
  })
  test('at the end when only the destination saw it', () => {
    expect(start(at(4), end(4))).toEqual(end(4))
  })
  test('at the end when both saw it, so that only publishing is left', () => {
    expect(start(end(4), end(4))).toEqual(end(4))
  })
  test("with the destination's account of one and the same page", () => {
    expect(start(at(3, { rows: 31 }), at(3, { rows: 30 }))).toEqual(at(3))
  })
  test('back where the destination stands, with a warning, when positions survive', () => {
    const { start: from, warning } = reconcile(at(5), at(3), { job: full, resumable: true })
    expect(from).toEqual(at(3))
    expect(warning).toMatch(/page 5 \(50 rows\) durable, but the destination holds page 3 \(30 rows\)/)
  })
  test('back before the end when the destination lost it and positions survive', () => {
    expect(start(end(5), at(5), true)).toEqual(at(5))
  })
  test('nowhere when the destination is behind and positions do not survive', () => {
    expect(() => start(at(5), at(3))).toThrow(
      expect.objectContaining({ code: 'edited', message: expect.stringMatching(/page 5 .* only page 3/) }),
    )
  })
  test('nowhere when the destination has nothing of what was durable', () => {
    expect(() => start(at(5), undefined, true)).toThrow(
      expect.objectContaining({ code: 'edited', hint: expect.stringMatching(/force_ignore_checkpoint/) }),
    )
  })
  test('and the advice is of use in the mode of the run', () => {
    const advice = (mode: SyncMode): string | undefined => {
      try {
        reconcile(at(5), undefined, { job: job('a', mode), resumable: true })
      } catch (error) {
        return (error as BizonError).hint
      }
      return undefined
    }
    expect(advice('full_refresh')).not.toContain('--reset')
    expect(advice('incremental')).toContain('--reset')
    expect(advice('incremental')).not.toContain('force_ignore_checkpoint')
    expect(advice('stream')).not.toContain('--reset')
  })
  test('nowhere when the destination has nothing of an empty extract that had ended', () => {
    expect(() => start(end(0), undefined)).toThrow(expect.objectContaining({ code: 'edited' }))
  })
  test('at the beginning when no page had been durable', () => {
    expect(start(at(0), undefined)).toBeUndefined()
  })
  test('at the beginning after stream runs of the Python program, which keep no position', () => {
    expect(start(at(5, { position: null }), undefined)).toBeUndefined()
  })
})

describe('what a program reads that is not ours', () => {
  const succeeded = job('s', 'incremental', { status: 'succeeded' })
  const unfinished = job('u', 'incremental', { complete: false })

  test('is added from the first run on', () => {
    expect(outcome(input('incremental', { foreign: 'tells' }))).toMatchObject({ action: 'start', complete: false })
    expect(outcome(input('incremental', { foreign: 'silent' }))).toMatchObject({ action: 'start', complete: false })
  })

  test('names no run before it where what was told must stay, and has no place of ours to begin at', () => {
    const told = decide(input('incremental', { foreign: 'tells', lastSucceeded: succeeded }))
    expect([told.previous, told.since]).toEqual([undefined, undefined])
    const silent = decide(input('incremental', { foreign: 'silent', lastSucceeded: succeeded }))
    expect([silent.previous, silent.since]).toEqual(['s', undefined])
  })

  test('is gone on with only where the program knows what it gave', () => {
    expect(outcome(input('incremental', { foreign: 'tells', unfinished: [unfinished] }))).toMatchObject({ job: 'u' })
    const silent = decide(input('incremental', { foreign: 'silent', unfinished: [unfinished] }))
    expect(silent).toMatchObject({ action: 'start', cancel: ['u'], obstacle: 'what it read comes again' })
  })

  test('another run of a producer that cannot say what it reads is another one', () => {
    const same = input('incremental', { unfinished: [unfinished], only: 'u' })
    expect(outcome(same)).toMatchObject({ action: 'resume', job: 'u' })
    expect(outcome({ ...same, only: 'v' })).toMatchObject({ action: 'start', cancel: ['u'] })
  })

  test('a hash of what is read is the beginning of one of what is loaded', () => {
    const begun = { ...unfinished, configHash: 'aaaabbbb' }
    const of = (configHash: string) => outcome(input('incremental', { unfinished: [begun], configHash }))
    expect(of('aaaa')).toMatchObject({ action: 'resume' })
    expect(of('aaaabbbb')).toMatchObject({ action: 'resume' })
    expect(of('aaaacccc')).toMatchObject({ action: 'start' })
    expect(of('bbbb')).toMatchObject({ action: 'start' })
  })
})
