// The suite that every destination with its own checkpoints runs: whatever happens between two calls, or inside one,
// the next process ends with each record once, and a run that did not end changes nothing that was published.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDigester } from '../../lib/audit/digest.ts'
import type { Reader, StoredRow } from '../../lib/audit/reader.ts'
import type { Destination, Run } from '../../lib/destination.ts'
import { BizonError } from '../../lib/errors.ts'
import { RawJson, type SourceRecord } from '../../lib/record.ts'
import { readRowId } from '../../lib/row-id.ts'
import type { Page, SyncMode } from '../../lib/source.ts'
import { failAt, Injected, idsOf, load, never, pagesOf, runOf } from '../support/load.ts'

export interface CreateOptions {
  readonly mode: SyncMode
  /** Called before each operation that changes something outside the process; may throw. */
  before?(operation: string): void
}

export interface Trial {
  /** A destination whose target is named `main`, below the folder. */
  create(folder: string, options: CreateOptions): Destination
  /** Ids of the published records of the target, in order; undefined when there is no such target. */
  readBack(folder: string, target: string): Promise<string[] | undefined>
  /** The destination id with which a record reaches the other target. */
  idOf(folder: string, target: string): string
  /** Operations that readers of the target `main` notice, among those of an append. */
  readonly noticed: RegExp
  /** Makes in the empty folder `to` what is in `from`. Absent: it is loaded each time. */
  copy?(from: string, to: string): Promise<void>
  /** Waits more than it works, so that several cases at a time take less. */
  readonly concurrent?: boolean
  /**
   * What is in its targets stays there, and is seen with each checkpoint, whatever the mode. Whoever opens a target fences the
   * one before.
   */
  readonly onlyAdds?: boolean
  /** By day only every so-manieth operation fails, another one in each mode. Default 1. */
  readonly step?: number
  /** What `bizon verify` and `bizon chaos` read its targets with; only of one that has it. */
  reader?(folder: string): Reader
}

interface Kind {
  readonly title: string
  readonly mode: SyncMode
  readonly complete: boolean
  /** What is published after `old` rows were there and `fresh` ones were loaded. */
  expect(old: readonly string[], fresh: readonly string[]): readonly string[]
}

const KINDS: readonly Kind[] = [
  { title: 'full_refresh', mode: 'full_refresh', complete: true, expect: (_, fresh) => fresh },
  { title: 'incremental', mode: 'incremental', complete: false, expect: (old, fresh) => [...old, ...fresh] },
  { title: 'a first incremental', mode: 'incremental', complete: true, expect: (_, fresh) => fresh },
  { title: 'stream', mode: 'stream', complete: false, expect: (old, fresh) => [...old, ...fresh] },
]

export function destinationContract(name: string, trial: Trial): void {
  const { create, readBack, idOf, noticed, reader, copy, concurrent = false, onlyAdds = false } = trial
  const step = process.env.BIZON_NIGHTLY === '1' ? 1 : (trial.step ?? 1)
  /** Which operations are to fail. `shift`: for two sweeps not to look at the same ones. */
  const failures = (passed: number, shift = 0): number[] =>
    Array.from({ length: passed }, (_, at) => at + 1).filter((n) => (n + shift) % step === 0)

  describe(`${name} keeps the destination contract`, { concurrent, timeout: 600_000 }, () => {
    let root: string
    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), 'bizon-destination-'))
    })
    afterAll(() => rm(root, { recursive: true, force: true }))

    const newFolder = (): Promise<string> => mkdtemp(join(root, 'case-'))
    const OLD = pagesOf('old', 2)
    const NEW = pagesOf('new', 3)
    const old = idsOf(OLD)
    const fresh = idsOf(NEW)

    /** A folder in which an earlier run has published OLD. */
    async function published(mode: SyncMode): Promise<string> {
      if (!copy) return loadedOld(mode)
      let first = loaded.get(mode)
      if (!first) {
        first = loadedOld(mode)
        loaded.set(mode, first)
      }
      const folder = await newFolder()
      await copy(await first, folder)
      return folder
    }
    const loaded = new Map<SyncMode, Promise<string>>()
    async function loadedOld(mode: SyncMode): Promise<string> {
      const folder = await newFolder()
      await load(create(folder, { mode }), runOf('old', mode, 1, mode !== 'stream'), OLD)
      return folder
    }

    if (reader) {
      const rowsOf = async (from: Reader, id: string): Promise<StoredRow[]> => {
        const rows: StoredRow[] = []
        for await (const some of from.read(id, never)) {
          rows.push(...some.map((row) => ({ ...row, data: row.data && RawJson.from(row.data.toString()) })))
        }
        return rows
      }

      test('its reader gives back each record as it was given, again and again, and none of a target that is not there', async () => {
        const folder = await published('full_refresh')
        const from = reader(folder)
        try {
          const id = idOf(folder, 'main')
          const rows = await rowsOf(from, id)
          const digester = createDigester()
          const digests = (data: readonly (SourceRecord['data'] | undefined)[]): number[] =>
            data.map((one) => {
              if (one) digester.value(one)
              return one ? digester.a : 0
            })
          const given = OLD.flatMap(({ records }) => records)
          expect(digests(rows.map(({ data }) => data)).sort()).toEqual(digests(given.map(({ data }) => data)).sort())
          if (from.keeps.of === 'records') {
            expect(rows.map(({ recordId }) => recordId).sort()).toEqual([...old].sort())
            expect(new Set(rows.map(({ rowId = '' }) => readRowId(rowId)?.row)).size).toBe(old.length)
          }
          if (from.keeps.inOrder)
            expect(digests(rows.map(({ data }) => data))).toEqual(digests(given.map(({ data }) => data)))
          expect(await rowsOf(from, id)).toHaveLength(old.length)
          expect(await rowsOf(from, idOf(folder, 'nothing'))).toEqual([])
        } finally {
          await from.close()
        }
      })
    }

    // Where nothing is replaced the others are the same.
    const kinds = onlyAdds ? KINDS.filter(({ complete }) => !complete) : KINDS
    for (const [shift, kind] of kinds.entries()) {
      const { title, mode, complete } = kind
      const newRun = (epoch: number): Run => runOf('new', mode, epoch, complete)
      const result = kind.expect(old, fresh)
      /** What readers see before the run publishes. */
      const visible = (rows: readonly string[]): readonly string[] =>
        mode === 'stream' || onlyAdds ? [...old, ...rows] : old

      describe(title, () => {
        test('every record arrives once and in order, into nothing and into what is there', async () => {
          const folder = await newFolder()
          await load(create(folder, { mode }), runOf('new', mode, 1, complete), NEW)
          expect(await readBack(folder, 'main')).toEqual(fresh)
          const again = await published(mode)
          await load(create(again, { mode }), newRun(2), NEW)
          expect(await readBack(again, 'main')).toEqual(result)
        })

        test('closing without publishing publishes nothing, and the next process goes on from the checkpoint', async () => {
          for (let pages = 0; pages <= NEW.length; pages++) {
            const folder = await published(mode)
            const at = await load(create(folder, { mode }), newRun(2), NEW.slice(0, pages), { publish: false })
            expect(await readBack(folder, 'main')).toEqual(visible(idsOf(NEW.slice(0, pages))))
            const destination = create(folder, { mode })
            expect(await destination.open(newRun(3), never)).toEqual(at)
            await destination.close()
            await load(create(folder, { mode }), newRun(4), NEW)
            expect(await readBack(folder, 'main')).toEqual(result)
          }
        })

        test('what was written and not flushed is gone after a restart', async () => {
          const folder = await published(mode)
          const destination = create(folder, { mode })
          await destination.open(newRun(2), never)
          for (const page of NEW) await destination.write(page, never)
          await destination.close()
          await load(create(folder, { mode }), newRun(3), NEW)
          expect(await readBack(folder, 'main')).toEqual(result)
        })

        test('publishing again, in the same process and in a later one, changes nothing', async () => {
          const folder = await published(mode)
          const destination = create(folder, { mode })
          await destination.open(newRun(2), never)
          await destination.write(pagesOf('new', 1)[0] as Page, never)
          await destination.flush({ run: 'new', page: 1, rows: 3, position: null, end: true })
          await destination.publish()
          await destination.publish()
          await destination.close()
          const later = create(folder, { mode })
          expect((await later.open(newRun(3), never))?.end).toBe(true)
          await later.publish()
          await later.close()
          expect(await readBack(folder, 'main')).toEqual(kind.expect(old, ['new0', 'new1', 'new2']))
        })

        test('a failure at any operation is repaired by the next process, also when that one fails too', async () => {
          const clean = failAt(0)
          await load(create(await published(mode), { mode, before: clean.before }), newRun(2), NEW)
          expect(clean.passed()).toBeGreaterThan(5)
          for (const n of failures(clean.passed(), shift)) {
            const folder = await published(mode)
            for (const [depth, at] of [n, 1 + (n % 5), 1 + (n % 3)].entries()) {
              const fault = failAt(at)
              const failing = load(create(folder, { mode, before: fault.before }), newRun(2 + depth), NEW)
              const error = await failing.then(
                () => undefined,
                (reason: unknown) => reason,
              )
              if (fault.passed() >= at) expect(error).toBeInstanceOf(Injected)
              else expect(error).toBeUndefined()
            }
            await load(create(folder, { mode }), newRun(9), NEW)
            expect(await readBack(folder, 'main'), `failed at operation ${n}`).toEqual(result)
          }
        })

        test('after a failed call every later one fails, so that no checkpoint is put behind lost rows', async () => {
          for (let n = 1; ; n++) {
            const folder = await published(mode)
            const fault = failAt(n)
            let opened = false
            const destination = create(folder, { mode, before: (operation) => opened && fault.before(operation) })
            await destination.open(newRun(2), never)
            opened = true
            const [first, second] = NEW as [Page, Page]
            const failed = await destination
              .write(first, never)
              .then(() => destination.flush({ run: 'new', page: 1, rows: 3, position: first.next, end: false }))
              .then(
                () => false,
                () => true,
              )
            if (failed) {
              await expect(destination.write(second, never)).rejects.toThrow()
              await expect(
                destination.flush({ run: 'new', page: 2, rows: 6, position: second.next, end: true }),
              ).rejects.toThrow()
              await expect(destination.publish()).rejects.toThrow()
            }
            await destination.close()
            if (!failed) return
          }
        })

        test('publishing needs a flushed end', async () => {
          const folder = await published(mode)
          await expect(load(create(folder, { mode }), newRun(2), NEW.slice(0, 2))).rejects.toThrow(/end/)
          expect(await readBack(folder, 'main')).toEqual(visible(idsOf(NEW.slice(0, 2))))
        })

        test('an aborted write rejects with the reason, and the rows come again', async () => {
          const folder = await published(mode)
          const reason = new Error('stop')
          const controller = new AbortController()
          const destination = create(folder, { mode, before: () => {} })
          await destination.open(newRun(2), never)
          await destination.write(NEW[0] as Page, controller.signal)
          controller.abort(reason)
          await expect(destination.write(NEW[1] as Page, controller.signal)).rejects.toBe(reason)
          await destination.close()
          expect(await readBack(folder, 'main')).toEqual(old)
          await load(create(folder, { mode }), newRun(3), NEW)
          expect(await readBack(folder, 'main')).toEqual(result)
        })

        test(`${onlyAdds ? 'a second process fences the first' : 'a second process is refused while the first is at work, and then takes over'}`, async () => {
          const folder = await newFolder()
          const first = create(folder, { mode })
          await first.open(newRun(1), never)
          const second = create(folder, { mode })
          if (onlyAdds) {
            await second.open(newRun(2), never)
            await first.write(NEW[0] as Page, never)
            const late = first.flush({ run: 'new', page: 1, rows: 3, position: null, end: false })
            await expect(late).rejects.toMatchObject({ code: 'fenced' })
          } else await expect(second.open(newRun(2), never)).rejects.toMatchObject({ code: 'locked' })
          await second.close()
          await first.close()
          await load(create(folder, { mode }), newRun(3), NEW)
          expect(await readBack(folder, 'main')).toEqual(fresh)
        })

        test('a process with an older epoch is refused', async () => {
          const folder = await published(mode)
          await load(create(folder, { mode }), newRun(7), NEW.slice(0, 1), { publish: false })
          const old = create(folder, { mode })
          await expect(old.open(runOf('older', mode, 6, complete), never)).rejects.toMatchObject({ code: 'fenced' })
          await old.close()
          await load(create(folder, { mode }), newRun(8), NEW)
          expect(await readBack(folder, 'main')).toEqual(result)
        })

        test('records go to the target they name, whatever fails on the way', async () => {
          const route = (folder: string) => pagesOf('new', 2, (n) => (n % 3 === 1 ? idOf(folder, 'other') : undefined))
          const main = ['new0', 'new2', 'new3', 'new5']
          const other = ['new1', 'new4']
          const clean = failAt(0)
          const folder = await published(mode)
          await load(create(folder, { mode, before: clean.before }), newRun(2), route(folder))
          for (const n of failures(clean.passed(), shift)) {
            const folder = await published(mode)
            const failing = load(create(folder, { mode, before: failAt(n).before }), newRun(2), route(folder))
            await expect(failing).rejects.toBeInstanceOf(Injected)
            await load(create(folder, { mode }), newRun(3), route(folder))
            expect(await readBack(folder, 'main'), `failed at operation ${n}`).toEqual(kind.expect(old, main))
            expect(await readBack(folder, 'other'), `failed at operation ${n}`).toEqual(other)
          }
        })

        test('a run without rows ends well', async () => {
          const folder = await published(mode)
          await load(create(folder, { mode }), newRun(2), [{ records: [], next: null }])
          expect(await readBack(folder, 'main')).toEqual(kind.expect(old, []))
        })

        test('closing is safe twice, before an open, and after one that failed', async () => {
          const folder = await newFolder()
          const unopened = create(folder, { mode })
          await unopened.close()
          await unopened.close()
          for (let n = 1; n <= 3; n++) {
            const failing = create(folder, { mode, before: failAt(n).before })
            await expect(failing.open(newRun(1), never)).rejects.toBeInstanceOf(Injected)
            await failing.close()
            await failing.close()
          }
          await load(create(folder, { mode }), newRun(2), NEW)
          expect(await readBack(folder, 'main')).toEqual(fresh)
        })
      })
    }

    if (!onlyAdds)
      test('what another run staged is dropped, and never published', async () => {
        for (const mode of ['full_refresh', 'incremental'] as const) {
          const complete = mode === 'full_refresh'
          const folder = await published(mode)
          await load(create(folder, { mode }), runOf('given up', mode, 2, complete), NEW.slice(0, 2), {
            publish: false,
          })
          const destination = create(folder, { mode })
          expect(await destination.open(runOf('next', mode, 3, complete), never)).toBeUndefined()
          await destination.close()
          const pages = pagesOf('next', 1)
          await load(create(folder, { mode }), runOf('next', mode, 4, complete), pages)
          expect(await readBack(folder, 'main')).toEqual(complete ? idsOf(pages) : [...old, ...idsOf(pages)])
        }
      })

    if (!onlyAdds)
      test('a run given up anywhere, also while it published, leaves nothing half done to the run after it', async () => {
        for (const { mode, complete, expect: expected } of KINDS.filter(({ mode }) => mode !== 'stream')) {
          const clean = failAt(0)
          const run = runOf('given up', mode, 2, complete)
          await load(create(await published(mode), { mode, before: clean.before }), run, NEW)
          for (const n of failures(
            clean.passed(),
            KINDS.findIndex((kind) => kind.mode === mode),
          )) {
            const folder = await published(mode)
            const fault = failAt(n)
            await expect(load(create(folder, { mode, before: fault.before }), run, NEW)).rejects.toBeInstanceOf(
              Injected,
            )
            const pages = pagesOf('next', 1)
            await load(create(folder, { mode }), runOf('next', mode, 3, complete), pages)
            const found = await readBack(folder, 'main')
            // Behind the commit `published` the given-up run did succeed: an append then stays, once.
            const variants = [expected(old, idsOf(pages)), expected([...old, ...fresh], idsOf(pages))]
            expect(variants, `failed at operation ${n}`).toContainEqual(found)
          }
        }
      })

    if (!onlyAdds)
      test('an append that fails shows none of its rows, whatever fails', async () => {
        const run = runOf('new', 'incremental', 2)
        const clean = failAt(0)
        const operations: string[] = []
        const noted = (operation: string): void => {
          operations.push(operation)
          clean.before(operation)
        }
        await load(create(await published('incremental'), { mode: 'incremental', before: noted }), run, NEW)
        expect(operations.join()).toMatch(noticed)
        const seen = new Set<boolean>()
        for (const n of failures(clean.passed())) {
          const folder = await published('incremental')
          const failing = load(create(folder, { mode: 'incremental', before: failAt(n).before }), run, NEW)
          await expect(failing).rejects.toBeInstanceOf(Injected)
          const rows = await readBack(folder, 'main')
          const appended = rows?.length === old.length + fresh.length
          seen.add(appended)
          // All of them only once nothing is left to do but to note that they are there, and to tidy up.
          if (appended) expect(operations.slice(n - 1).join()).not.toMatch(noticed)
          else expect(rows, `failed at operation ${n}`).toEqual(old)
        }
        expect(seen.has(false)).toBe(true)
      })

    describe('what is published is not what the run before left', () => {
      const nextAfter = (previous: string, epoch: number): Run => ({ ...runOf('next', 'incremental', epoch), previous })
      const NEXT = pagesOf('next', 1)

      if (!onlyAdds)
        test('because one more was published: it is taken back if it was added, whatever fails on the way', async () => {
          const clean = failAt(0)
          const prepared = async (): Promise<string> => {
            const folder = await published('incremental')
            const more = { ...runOf('unknown', 'incremental', 2), previous: 'old' }
            await load(create(folder, { mode: 'incremental' }), more, NEW)
            expect(await readBack(folder, 'main')).toEqual([...old, ...fresh])
            return folder
          }
          await load(create(await prepared(), { mode: 'incremental', before: clean.before }), nextAfter('old', 3), NEXT)
          for (const n of [0, ...failures(clean.passed())]) {
            const folder = await prepared()
            const first = load(
              create(folder, { mode: 'incremental', before: failAt(n).before }),
              nextAfter('old', 3),
              NEXT,
            )
            if (n > 0) await expect(first).rejects.toBeInstanceOf(Injected)
            else await first
            await load(create(folder, { mode: 'incremental' }), nextAfter('old', 4), NEXT)
            expect(await readBack(folder, 'main'), `failed at operation ${n}`).toEqual([...old, ...idsOf(NEXT)])
          }
        })

      test('because it was replaced, or more than one was added: the run is refused and changes nothing', async () => {
        const replaced = await published('incremental')
        await load(create(replaced, { mode: 'full_refresh' }), runOf('unknown', 'full_refresh', 2), NEW)
        const twice = await published('incremental')
        for (const [id, previous, epoch] of [
          ['one', 'old', 2],
          ['two', 'one', 3],
        ] as const)
          await load(create(twice, { mode: 'incremental' }), { ...runOf(id, 'incremental', epoch), previous }, NEW)
        for (const folder of [replaced, twice]) {
          const before = await readBack(folder, 'main')
          const refused = load(create(folder, { mode: 'incremental' }), nextAfter('old', 4), NEXT)
          await expect(refused).rejects.toMatchObject({ code: 'edited', hint: expect.stringContaining('--reset') })
          expect(await readBack(folder, 'main')).toEqual(before)
        }
      })

      test('because there is nothing: the run is refused', async () => {
        const folder = await newFolder()
        const refused = load(create(folder, { mode: 'incremental' }), nextAfter('old', 2), NEXT)
        await expect(refused).rejects.toMatchObject({ code: 'edited', hint: expect.stringContaining('--reset') })
        expect(await readBack(folder, 'main')).toBeUndefined()
      })
    })

    test('a stream is gone on with by a run that the store knows nothing of, unless that is to start over', async () => {
      const folder = await newFolder()
      const at = await load(create(folder, { mode: 'stream' }), runOf('lost', 'stream', 1), NEW.slice(0, 2), {
        publish: false,
      })
      const next = create(folder, { mode: 'stream' })
      expect(await next.open(runOf('next', 'stream', 2), never)).toEqual({ ...at, run: 'next' })
      await next.close()
      await load(create(folder, { mode: 'stream' }), runOf('next', 'stream', 3), NEW)
      expect(await readBack(folder, 'main')).toEqual(fresh)
      const anew = await newFolder()
      await load(create(anew, { mode: 'stream' }), runOf('lost', 'stream', 1), NEW.slice(0, 2), { publish: false })
      const over = create(anew, { mode: 'stream' })
      expect(await over.open({ ...runOf('over', 'stream', 2), startOver: true }, never)).toBeUndefined()
      await over.close()
    })

    test('the modes follow one another on the same target', async () => {
      const folder = await published('full_refresh')
      const parts = ['a', 'b', 'c'].map((prefix) => pagesOf(prefix, 2)) as [Page[], Page[], Page[]]
      await load(create(folder, { mode: 'incremental' }), runOf('a', 'incremental', 2), parts[0])
      await load(create(folder, { mode: 'stream' }), runOf('b', 'stream', 3), parts[1])
      await load(create(folder, { mode: 'incremental' }), runOf('c', 'incremental', 4), parts[2])
      expect(await readBack(folder, 'main')).toEqual([...old, ...parts.flatMap(idsOf)])
      await load(create(folder, { mode: 'full_refresh' }), runOf('d', 'full_refresh', 5), NEW)
      const stays = onlyAdds ? [...old, ...parts.flatMap(idsOf)] : []
      expect(await readBack(folder, 'main')).toEqual([...stays, ...fresh])
    })

    test('checking changes nothing', async () => {
      const folder = await newFolder()
      const destination = create(folder, { mode: 'full_refresh' })
      await destination.check?.(never)
      await destination.close()
      expect(await readBack(folder, 'main')).toBeUndefined()
    })

    test('errors are BizonErrors', async () => {
      const folder = await newFolder()
      const destination = create(folder, { mode: 'full_refresh' })
      await expect(destination.publish()).rejects.toBeInstanceOf(BizonError)
      await destination.close()
    })
  })
}
