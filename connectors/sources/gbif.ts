// GBIF: billions of occurrences of species, without an account; much data for trying out a destination. One `rest`
// endpoint. The API gives the first 100,000 of a search at most: `filters` make it a smaller one.

import * as z from 'zod'
import { apiConfigSchema } from '../../lib/http/config.ts'
import { defineSource } from '../../lib/source.ts'
import { baseUrl, endpointSchema } from './rest/config.ts'
import { endpointOf } from './rest/endpoint.ts'
import { createSource } from './rest/source.ts'

const STREAM = 'occurrence'
const MOST_AT_ONCE = 300
const MOST_RECORDS = 100_000

const scalar = z.union([z.string(), z.number(), z.boolean()])

const config = z.strictObject({
  base_url: baseUrl.default('https://api.gbif.org').describe('Server of the API. Default https://api.gbif.org.'),
  page_limit: z
    .number()
    .int()
    .min(1)
    .max(MOST_AT_ONCE)
    .default(MOST_AT_ONCE)
    .describe(`Records to ask for at once. Default ${MOST_AT_ONCE}, the most there are.`),
  max_records: z
    .number()
    .int()
    .min(1)
    .max(MOST_RECORDS)
    .default(MOST_RECORDS)
    .describe(`Records to load. Default ${MOST_RECORDS}, the most that the API gives of a search.`),
  filters: z
    .record(z.string(), z.union([scalar, z.array(scalar)]))
    .default({})
    .describe('What to search for, as the API calls it: `country: CH`, `year: "2020,2024"`. Default: everything.'),
  api_config: apiConfigSchema.prefault({}).describe('Retries, timeouts and rate limits.'),
})

export default defineSource({
  summary: 'Occurrences of species of gbif.org; needs no account.',
  config,
  tuning: ['page_limit', 'api_config'],
  streams: () => [{ name: STREAM, resumable: true, primaryKey: ['key'] }],
  create({ base_url, page_limit, max_records, filters, api_config }, context) {
    const occurrence = endpointSchema.parse({
      path: `v1/${STREAM}/search`,
      params: filters,
      records: 'results',
      id: ['key', 'gbifID'],
      max_records,
      pagination: { type: 'offset', page_size: page_limit, total: 'count', is_last: 'endOfRecords' },
    })
    const endpoint = endpointOf(STREAM, { [STREAM]: occurrence }, { missingId: 'place', missingLast: 'ends' })
    return createSource({ endpoint, baseUrl: base_url, api: api_config }, context)
  },
})
