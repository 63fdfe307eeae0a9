import { describe, expect, test } from 'vitest'
import type { PostgresOptions } from '../../../connectors/destinations/postgres/config.ts'
import definition from '../../../connectors/destinations/postgres.ts'
import { postgresOptions } from '../../support/postgres-destination.ts'

/** What counts for whether an unfinished run is gone on with. */
function hashed(options: Partial<PostgresOptions>): string {
  const all = Object.entries(definition.hashed?.(postgresOptions('postgres://h/d', options)) ?? {})
  const tuning = new Set<string>(definition.tuning)
  return JSON.stringify(all.filter(([key, value]) => !tuning.has(key) && value !== undefined).sort())
}

describe('an unfinished run is gone on with', () => {
  const here = hashed({ url: 'postgres://loader:one@db:5433/warehouse' })

  test.each([
    ['another password', { url: 'postgres://loader:two@db:5433/warehouse' }],
    ['another user', { url: 'postgres://other@db:5433/warehouse' }],
    ['another sslmode', { url: 'postgres://loader:one@db:5433/warehouse?sslmode=require' }],
    ['the address in parts', { url: undefined, host: 'db', port: 5433, database: 'warehouse', user: 'x' }],
    ['another way of replacing', { url: 'postgres://db:5433/warehouse', replace_strategy: 'truncate_insert' as const }],
  ])('with %s', (_, options) => {
    expect(hashed(options)).toBe(here)
  })

  test.each([
    ['host', { url: 'postgres://loader:one@other:5433/warehouse' }],
    ['port', { url: 'postgres://loader:one@db/warehouse' }],
    ['database', { url: 'postgres://loader:one@db:5433/other' }],
    ['schema', { url: 'postgres://loader:one@db:5433/warehouse', schema: 'other' }],
    ['primary_key', { url: 'postgres://loader:one@db:5433/warehouse', primary_key: ['id'] }],
  ])('and not with another %s', (_, options) => {
    expect(hashed(options)).not.toBe(here)
  })

  test('no password is part of that', () => {
    expect(hashed({ url: 'postgres://loader:hunter2@db/warehouse' })).not.toContain('hunter2')
  })
})
