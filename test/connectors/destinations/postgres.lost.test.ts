// The way to the server is lost, or the server itself, while a run is under way: the run goes on, and each row is there
// once. psql reads it.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Log } from '../../../lib/log.ts'
import { RawJson } from '../../../lib/record.ts'
import type { Page, SyncMode } from '../../../lib/source.ts'
import { idsOf, load, never, pagesOf, runOf } from '../../support/load.ts'
import { LossyProxy } from '../../support/lossy-proxy.ts'
import { idsIn, postgresDestination, silent } from '../../support/postgres-destination.ts'
import { freshDatabase, PostgresServer, psql } from '../../support/services/postgres.ts'

const PAGES = pagesOf('new', 4)
const sorted = (ids: readonly string[] | undefined): string[] => [...(ids ?? [])].sort()

/** Notes what the run says of its connection. */
function listening(): Log & { readonly said: string[] } {
  const said: string[] = []
  return { ...silent, warn: (message) => said.push(message), info: (message) => said.push(message), said }
}

describe.each(['full_refresh', 'incremental', 'stream'] as const)('%s: the way to the server is lost', (mode) => {
  test.each([
    { text: 'COPY "public"', when: 'request' },
    { text: 'COPY "public"', when: 'answer' },
    { text: 'UPDATE "public"."_bizon_state"', when: 'request' },
    { text: 'UPDATE "public"."_bizon_state"', when: 'answer' },
    { text: 'COMMIT', when: 'request' },
    { text: 'COMMIT', when: 'answer' },
  ] as const)('with the $when of $text', async (at) => {
    const { url } = await freshDatabase()
    const proxy = await LossyProxy.create(Number(new URL(url).port))
    try {
      const log = listening()
      const through = url.replace(/:\d+\//, `:${proxy.port}/`)
      const destination = postgresDestination({ url: through, mode, log, options: { primary_key: [] } })
      const run = runOf('new', mode, 1)
      await destination.open(run, never)
      for (const [n, page] of PAGES.entries()) {
        await destination.write(page, never)
        // Once within a batch, once within what publishes.
        if (n === 1) proxy.breakAt = at
        await destination.flush({
          run: 'new',
          page: n + 1,
          rows: 3 * n + 3,
          position: page.next,
          end: page.next === null,
        })
      }
      if (mode !== 'stream' && !at.text.startsWith('COPY')) proxy.breakAt = at
      await destination.publish()
      await destination.close()
      expect(proxy.breaks).toBe(mode === 'stream' || at.text.startsWith('COPY') ? 1 : 2)
      expect(log.said.join()).toContain('the connection to PostgreSQL is back')
      expect(sorted(await idsIn(url, 'main'))).toEqual(sorted(idsOf(PAGES)))
      expect(await psql(url, 'SELECT count(*), count(DISTINCT bizon_id), max(bizon_id) LIKE $$%b$$ FROM main')).toBe(
        '12|12|t\n',
      )
    } finally {
      await proxy.close()
    }
  })
})

describe('the way breaks in the middle, and the server does not notice', () => {
  test.each(['full_refresh', 'incremental', 'stream'] as const)('%s goes on without waiting for that', async (mode) => {
    const { url } = await freshDatabase()
    const proxy = await LossyProxy.create(Number(new URL(url).port))
    try {
      proxy.halfOpen = true
      const through = url.replace(/:\d+\//, `:${proxy.port}/`)
      const destination = postgresDestination({ url: through, mode, options: { reconnect_timeout: 5 } })
      await destination.open(runOf('new', mode, 1), never)
      for (const [n, page] of PAGES.entries()) {
        await destination.write(page, never)
        if (n === 1) proxy.breakAt = { text: 'UPDATE "public"."_bizon_state"', when: 'answer' }
        await destination.flush({
          run: 'new',
          page: n + 1,
          rows: 3 * n + 3,
          position: page.next,
          end: page.next === null,
        })
      }
      await destination.publish()
      await destination.close()
      expect(proxy.breaks).toBe(1)
      expect(sorted(await idsIn(url, 'main'))).toEqual(sorted(idsOf(PAGES)))
    } finally {
      await proxy.close()
    }
  })
})

test('settings of the database that would change what is written, or how surely, do not', async () => {
  const { url, name } = await freshDatabase()
  const settings = {
    statement_timeout: '300',
    idle_in_transaction_session_timeout: '300',
    default_transaction_read_only: 'on',
    default_transaction_isolation: 'serializable',
    synchronous_commit: 'off',
    DateStyle: "'SQL, DMY'",
    TimeZone: "'Asia/Tokyo'",
    standard_conforming_strings: 'off',
    search_path: "'nowhere'",
  }
  const admin = url.replace(name, 'postgres')
  for (const [key, value] of Object.entries(settings)) await psql(admin, `ALTER DATABASE ${name} SET ${key} = ${value}`)
  const plain = `${url}?options=-cTimeZone%3DUTC%20-cDateStyle%3DISO%20-cstatement_timeout%3D0%20-cdefault_transaction_read_only%3Doff`
  for (const [n, mode] of (['full_refresh', 'incremental', 'stream', 'full_refresh'] as const).entries()) {
    const data = RawJson.from(`{"id":"it's ${n}","back":"\\\\"}`)
    const record = { id: `r${n}`, data, timestamp: '2024-02-01T00:00:00.000001+05:30' }
    const options = { primary_key: ['id'] }
    await load(postgresDestination({ url, mode, options }), { ...runOf(`run${n}`, mode, n + 1), startOver: true }, [
      { records: [record], next: null },
    ])
    if (n > 0) continue
    await psql(
      plain,
      `CREATE TABLE public.noted (setting text);
       CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO public.noted VALUES (current_setting('synchronous_commit'));
         IF NEW.run = 'run1' AND NEW.phase = 'published' THEN PERFORM pg_sleep(0.5); END IF; RETURN NULL; END $$;
       CREATE TRIGGER note AFTER UPDATE ON public._bizon_state FOR EACH ROW EXECUTE FUNCTION public.note()`,
    )
  }
  expect(await psql(plain, 'SELECT DISTINCT setting FROM public.noted')).toBe('on\n')
  expect(await psql(plain, 'SELECT source_timestamp, source_data FROM public.main')).toBe(
    '2024-01-31 18:30:00.000001+00|{"id": "it\'s 3", "back": "\\\\"}\n',
  )
})

describe('the server is killed under the run', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await PostgresServer.create()
  })
  afterAll(() => server.remove())

  test.each(['full_refresh', 'incremental', 'stream'] as const)(
    '%s goes on once it is back',
    async (mode: SyncMode) => {
      const database = `of_${mode}`
      await psql(server.url(), `CREATE DATABASE ${database}`)
      const url = server.url(database)
      const destination = postgresDestination({ url, mode })
      await destination.open(runOf('new', mode, 1), never)
      for (const [n, page] of PAGES.entries()) {
        await destination.write(page, never)
        if (n === 2) await server.kill()
        const flushed = destination.flush({
          run: 'new',
          page: n + 1,
          rows: 3 * n + 3,
          position: page.next,
          end: page.next === null,
        })
        if (n === 2) await server.start()
        await flushed
      }
      await server.kill('SIGINT')
      await server.start()
      await destination.publish()
      await destination.close()
      expect(sorted(await idsIn(url, 'main'))).toEqual(sorted(idsOf(PAGES)))
    },
  )

  test('and stays away: the run fails, saying so, and the next one goes on behind the last checkpoint', async () => {
    await psql(server.url(), 'CREATE DATABASE away')
    const url = server.url('away')
    const destination = postgresDestination({ url, options: { reconnect_timeout: 1 } })
    const run = runOf('new', 'full_refresh', 1)
    await destination.open(run, never)
    await destination.write(PAGES[0] as Page, never)
    await destination.flush({ run: 'new', page: 1, rows: 3, position: { page: 1 }, end: false })
    await server.kill()
    await destination.write(PAGES[1] as Page, never)
    const failed = destination.flush({ run: 'new', page: 2, rows: 6, position: { page: 2 }, end: false })
    await expect(failed).rejects.toMatchObject({ code: 'destination', retriable: true })
    await destination.close()
    await server.start()
    await load(postgresDestination({ url }), runOf('new', 'full_refresh', 2), PAGES)
    expect(sorted(await idsIn(url, 'main'))).toEqual(sorted(idsOf(PAGES)))
  })

  test('in a batch that is too large to be kept: the run fails, and the next one goes on', async () => {
    await psql(server.url(), 'CREATE DATABASE large')
    const url = server.url('large')
    const data = RawJson.from(`{"text":"${'x'.repeat(1 << 20)}"}`)
    const records = Array.from({ length: 40 }, (_, n) => ({ id: `r${n}`, data }))
    const pages: Page[] = [
      { records: records.slice(0, 39), next: { page: 1 } },
      { records: records.slice(39), next: null },
    ]
    const destination = postgresDestination({ url, mode: 'stream' })
    const run = runOf('new', 'stream', 1)
    await destination.open(run, never)
    for (const record of records.slice(0, 39)) await destination.write({ records: [record], next: null }, never)
    await server.kill('SIGINT')
    await server.start()
    const failed = destination.flush({ run: 'new', page: 1, rows: 39, position: { page: 1 }, end: false })
    await expect(failed).rejects.toThrow('a large batch for public.main could not be finished')
    await destination.close()
    await load(postgresDestination({ url, mode: 'stream' }), runOf('new', 'stream', 2), pages)
    expect(await psql(url, 'SELECT count(*), count(DISTINCT bizon_id) FROM main')).toBe('40|40\n')
  })
})

test('an abort while the server keeps it waiting ends the wait with its reason', async () => {
  const { url } = await freshDatabase()
  await load(postgresDestination({ url, mode: 'stream' }), runOf('old', 'stream', 1), PAGES, { publish: false })
  const holder = psql(url, 'BEGIN; LOCK TABLE main; SELECT pg_sleep(3)')
  await expect
    .poll(() =>
      psql(url, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'main'::regclass"),
    )
    .toBe('1\n')
  const destination = postgresDestination({ url, mode: 'stream' })
  await destination.open(runOf('old', 'stream', 2), never)
  const controller = new AbortController()
  const data = RawJson.from(`{"text":"${'x'.repeat(5 << 20)}"}`)
  const page: Page = { records: [{ id: 'large', data }], next: null }
  // One is on its way while the next one gathers.
  await destination.write(page, controller.signal)
  const writing = destination.write(page, controller.signal)
  const reason = new Error('enough')
  controller.abort(reason)
  await expect(writing).rejects.toBe(reason)
  await destination.close()
  await holder
})
