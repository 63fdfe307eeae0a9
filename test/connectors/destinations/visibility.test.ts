// `visibility: batch`: what an incremental run adds is seen checkpoint by checkpoint, and stays when the run fails; the next
// process goes on behind it, wherever the one before failed. A run that is given up takes its rows along.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse as parseCsv } from 'csv-parse/sync'
import { describe, expect, test } from 'vitest'
import { realDisk } from '../../../connectors/destinations/file/disk.ts'
import { ParquetDestination } from '../../../connectors/destinations/file/parquet.ts'
import { FileDestination, type FileOptions } from '../../../connectors/destinations/file.ts'
import type { Metadata } from '../../../connectors/destinations/naming.ts'
import type { Visibility } from '../../../connectors/destinations/recovery.ts'
import type { Destination } from '../../../lib/destination.ts'
import type { SyncMode } from '../../../lib/source.ts'
import { watched } from '../../support/disk.ts'
import { failAt, idsOf, load, never, pagesOf, runOf } from '../../support/load.ts'
import { idsIn as postgresIds } from '../../support/postgres-destination.ts'
import { psql } from '../../support/services/postgres.ts'
import { idsIn as sqliteIds } from '../../support/sqlite-destination.ts'
import { TableGround } from '../../support/table-ground.ts'

const ground = await TableGround.make()

interface Options {
  readonly visibility?: Visibility
  readonly metadata?: Metadata
  readonly primary_key?: string[]
}

interface Target {
  create(mode: SyncMode, options?: Options, before?: (operation: string) => void): Destination
  /** As readers see them, in the order in which they came. */
  ids(): Promise<readonly string[]>
}

const file = (format: 'json' | 'csv'): Target['create'] => {
  return (mode, options, before) => {
    const whole: FileOptions = {
      format,
      metadata: 'bizon',
      durability: 'process',
      visibility: 'batch',
      on_empty: 'publish',
      destinationId: join(ground.folder, 'main'),
      unnest: false,
      recordSchemas: [],
      ...options,
    }
    return new FileDestination(whole, { stream: 'main', mode }, before ? watched(realDisk, before) : realDisk)
  }
}

const textOf = (name: string): Promise<string> => readFile(join(ground.folder, name), 'utf8')

const targets: { readonly [name: string]: Target } = {
  postgres: {
    create: (mode, options, before) => ground.postgres(mode, { visibility: 'batch', ...options }, before),
    ids: async () => (await postgresIds(ground.url, `${ground.schema}.main`)) ?? [],
  },
  sqlite: {
    create: (mode, options, before) => ground.sqlite(mode, { visibility: 'batch', ...options }, before),
    ids: () => sqliteIds(ground.file, 'main'),
  },
  ndjson: {
    create: file('json'),
    ids: async () =>
      (await textOf('main.json'))
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line).source_record_id),
  },
  csv: {
    create: file('csv'),
    ids: async () =>
      (parseCsv(await textOf('main.csv'), { columns: true }) as { source_record_id: string }[]).map(
        (row) => row.source_record_id,
      ),
  },
}

const OLD = pagesOf('old', 1)
const NEW = pagesOf('new', 3)
const first = runOf('first', 'incremental', 1, true)
const adding = (id: string, epoch: number) => ({ ...runOf(id, 'incremental', epoch), previous: 'first' })
const old = idsOf(OLD)
const all = [...old, ...idsOf(NEW)]

describe.each(Object.keys(targets))('%s', (name) => {
  const target = targets[name] as Target

  test('each checkpoint is seen, a failed extract keeps what is complete, and the run is gone on with', async () => {
    await load(target.create('incremental'), first, OLD)
    const destination = target.create('incremental')
    const run = adding('second', 2)
    expect(await destination.open(run, never)).toBeUndefined()
    for (const [at, page] of NEW.slice(0, 2).entries()) {
      await destination.write(page, never)
      const checkpoint = { run: run.id, page: at + 1, rows: 3 * (at + 1), position: page.next, end: false }
      await destination.flush(checkpoint)
      expect(await target.ids()).toEqual(all.slice(0, 6 + 3 * at))
    }
    // A page is under way when the source fails: no checkpoint is behind it.
    await destination.write(NEW[2] as (typeof NEW)[number], never)
    await expect(destination.publish()).rejects.toThrow(/before the end/)
    await destination.close()
    const next = target.create('incremental')
    expect(await next.open({ ...run, epoch: 3 }, never)).toMatchObject({ page: 2, rows: 6, end: false })
    await next.close()
    expect(await target.ids()).toEqual(all.slice(0, 9))
    await load(target.create('incremental'), { ...run, epoch: 4 }, NEW)
    expect(await target.ids()).toEqual(all)
    // Published once, and known as the last one.
    await load(target.create('incremental'), { ...run, epoch: 5 }, NEW)
    await load(
      target.create('incremental'),
      { ...runOf('third', 'incremental', 6), previous: 'second' },
      pagesOf('z', 1),
    )
    expect(await target.ids()).toEqual([...all, ...idsOf(pagesOf('z', 1))])
  })

  test('first runs and resets are seen at their end', async () => {
    await load(target.create('incremental'), first, OLD)
    await load(target.create('incremental'), runOf('reset', 'full_refresh', 2), NEW, { publish: false })
    expect(await target.ids()).toEqual(old)
    await load(target.create('incremental'), runOf('reset', 'full_refresh', 3), NEW)
    expect(await target.ids()).toEqual(idsOf(NEW))
  })

  test.each<[string, { givenUp?: string[] }]>([
    ['it is cancelled', { givenUp: ['second'] }],
    ['the state store has lost it', {}],
  ])('a run that is not gone on with takes its rows along: %s', async (_, more) => {
    await load(target.create('incremental'), first, OLD)
    await load(target.create('incremental'), adding('second', 2), NEW.slice(0, 2), { publish: false })
    expect(await target.ids()).toEqual(all.slice(0, 9))
    // Also one that shows its rows at its end.
    const destination = target.create('incremental', { visibility: 'run' })
    await load(destination, { ...adding('third', 3), ...more }, pagesOf('z', 2))
    expect(await target.ids()).toEqual([...old, ...idsOf(pagesOf('z', 2))])
  })

  test('killed anywhere, given up or gone on with, by the next process as well: each row is there once', async () => {
    const endings = {
      goneOn: [adding('second', 4), all],
      givenUp: [adding('third', 4), [...old, ...idsOf(NEW)]],
    } as const
    for (const [run, expected] of Object.values(endings)) {
      for (let at = 1, done = false; !done; at += 3) {
        await ground.renew()
        await load(target.create('incremental'), first, OLD)
        const failing = failAt(at)
        await load(target.create('incremental', {}, failing.before), adding('second', 2), NEW).catch(() => {})
        done = failing.passed() < at
        const again = failAt(at % 11)
        await load(target.create('incremental', {}, again.before), { ...run, epoch: 3 }, NEW).catch(() => {})
        await load(target.create('incremental'), run, NEW)
        expect(await target.ids(), `operation ${at}`).toEqual(expected)
      }
    }
  })
})

describe.each(['postgres', 'sqlite'])('%s', (name) => {
  const target = targets[name] as Target

  test('rows are merged batch by batch', async () => {
    const options = { primary_key: ['id'] }
    await load(target.create('incremental', options), first, OLD)
    const pages = [...pagesOf('old', 1).map((page) => ({ ...page, next: { page: 1 } })), ...NEW.slice(0, 1)]
    await load(target.create('incremental', options), adding('second', 2), pages, { publish: false })
    expect([...(await target.ids())].sort()).toEqual(all.slice(0, 6).sort())
    await load(target.create('incremental', options), { ...adding('third', 3), givenUp: ['second'] }, NEW)
    expect([...(await target.ids())].sort()).toEqual([...all].sort())
  })

  test('without ids its rows cannot be taken back, and the next run says so and changes nothing', async () => {
    const options = { metadata: 'none' } as const
    await load(target.create('incremental', options), first, OLD)
    await load(target.create('incremental', options), adding('second', 2), NEW.slice(0, 1), { publish: false })
    await expect(
      load(target.create('incremental', options), { ...adding('third', 3), givenUp: ['second'] }, NEW),
    ).rejects.toMatchObject({ message: /rows of run second, which is not gone on with/, hint: /--reset/ })
    await load(target.create('incremental', options), { ...adding('second', 4) }, NEW)
  })
})

test('postgres: a state row that was put back does not double what is behind it', async () => {
  const target = targets.postgres as Target
  await load(target.create('incremental'), first, OLD)
  await load(target.create('incremental'), adding('second', 2), NEW.slice(0, 1), { publish: false })
  const states = `${ground.schema}._bizon_state`
  await psql(ground.url, `CREATE TABLE ${ground.schema}.copy AS SELECT * FROM ${states}`)
  const stored = await load(target.create('incremental'), adding('second', 3), NEW.slice(0, 2), { publish: false })
  await psql(ground.url, `DELETE FROM ${states}; INSERT INTO ${states} SELECT * FROM ${ground.schema}.copy`)
  await load(target.create('incremental'), { ...adding('second', 4), ...(stored && { stored }) }, NEW)
  expect(await target.ids()).toEqual(all)
})

test('Parquet files are shown at the end of a run', () => {
  const options = {
    format: 'parquet',
    metadata: 'bizon',
    durability: 'process',
    visibility: 'batch',
    on_empty: 'publish',
  }
  const whole = {
    ...options,
    destinationId: join(ground.folder, 'main'),
    unnest: false,
    recordSchemas: [],
  } as FileOptions
  expect(() => new ParquetDestination(whole, { stream: 'main' })).toThrow(/visibility: files of format parquet/)
})
