// PokéAPI: a small public API without authentication, for first tries. A `rest` endpoint for each stream; `details`
// asks for what each entry of the list links to.

import * as z from 'zod'
import { BizonError } from '../../lib/errors.ts'
import { apiConfigSchema } from '../../lib/http/config.ts'
import { field, stringOf } from '../../lib/json.ts'
import { RawJson, type SourceRecord } from '../../lib/record.ts'
import { defineSource } from '../../lib/source.ts'
import { baseUrl, endpointSchema } from './rest/config.ts'
import { type Endpoint, endpointOf } from './rest/endpoint.ts'
import { inParallel } from './rest/parallel.ts'
import { type Complete, createSource } from './rest/source.ts'

const STREAMS = ['pokemon', 'berry', 'item']
const LIST_SIZE = 100
/** One may have half a megabyte of details. */
const DETAILS_SIZE = 20
const AT_ONCE = 5

const config = z.strictObject({
  base_url: baseUrl.default('https://pokeapi.co').describe('Server of the API. Default https://pokeapi.co.'),
  page_size: z
    .number()
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .describe(`Records to ask for at once. Default ${LIST_SIZE}; with details ${DETAILS_SIZE}.`),
  details: z
    .boolean()
    .default(false)
    .describe('Load all that is known of each entry, not only name and URL: one request more for each. Default false.'),
  api_config: apiConfigSchema.prefault({}).describe('Retries, timeouts and rate limits.'),
})

export default defineSource({
  summary: 'Pokémon, berries and items of pokeapi.co; needs no account.',
  config,
  tuning: ['page_size', 'api_config'],
  streams: () => STREAMS.map((name) => ({ name, resumable: true, primaryKey: ['name'] })),
  create({ base_url, page_size, details, api_config }, context) {
    const { stream } = context
    const list = endpointSchema.parse({
      path: `api/v2/${stream}`,
      params: { offset: 0 },
      records: 'results',
      id: 'name',
      pagination: {
        type: 'next_link',
        next: 'next',
        page_size: page_size ?? (details ? DETAILS_SIZE : LIST_SIZE),
        total: 'count',
      },
    })
    const detail = endpointSchema.parse({ path: '', single: true, id: 'name' })
    return createSource(
      {
        endpoint: endpointOf(stream, { [stream]: list }),
        baseUrl: base_url,
        api: api_config,
        ...(details && { complete: withDetails(endpointOf('detail', { detail }), base_url) }),
      },
      context,
    )
  },
})

/** Each record with what its `url` leads to instead of what the list says. */
function withDetails(endpoint: Endpoint, base: string): Complete {
  return (records, reader, signal) =>
    inParallel(records, AT_ONCE, signal, async (record, inner): Promise<SourceRecord> => {
      const link = record.data instanceof RawJson ? field(record.data, 'url') : undefined
      const url = link && stringOf(link)
      if (!url) throw new BizonError('invalid_record', `${record.id} has no url, which leads to its details`)
      const answer = await reader.follow(endpoint, url, base, inner)
      const { list } = answer.found
      return list ? { ...record, data: list } : record
    })
}
