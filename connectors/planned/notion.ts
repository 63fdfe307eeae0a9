// What a config of the source `notion` may hold.

import * as z from 'zod'
import { authenticationOf } from '../../lib/auth.ts'
import { defineSourceShape } from '../../lib/config/planned.ts'

const INCREMENTAL = [
  'databases',
  'pages',
  'blocks',
  'blocks_markdown',
  'all_pages',
  'all_databases',
  'all_blocks_markdown',
]
const WHOLE = ['users', 'data_sources', 'all_data_sources']

const ids = (what: string) => z.array(z.string().min(1)).default([]).describe(`${what}. Default: none.`)
const count = (most: number, fallback: number, what: string) =>
  z.number().int().min(1).max(most).default(fallback).describe(`${what}. Default ${fallback}.`)

export default defineSourceShape({
  summary: 'Users, databases, pages and blocks of a Notion workspace.',
  config: z.strictObject({
    database_ids: ids('Databases to read'),
    page_ids: ids('Pages to read'),
    fetch_blocks_recursively: z.boolean().default(true).describe('Read nested blocks, too. Default true.'),
    max_recursion_depth: count(100, 5, 'How deep to follow nested blocks'),
    page_size: count(100, 100, 'Objects a request'),
    max_workers: count(10, 3, 'Pages to read at once'),
    database_filters: z
      .record(z.string(), z.record(z.string(), z.unknown()))
      .default({})
      .describe('Filter for a database, as Notion writes it, by the id of the database. Default: none.'),
    authentication: authenticationOf('api_key', 'bearer').describe('Token of an integration.'),
  }),
  streams: () => [...INCREMENTAL.map((name) => ({ name, incremental: true })), ...WHOLE.map((name) => ({ name }))],
})
