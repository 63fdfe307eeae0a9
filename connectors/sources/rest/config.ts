// What a user says about an API: where it is, its endpoints (one for each stream), and how each is paged through.

import * as z from 'zod'
import { authenticationSchema } from '../../../lib/auth.ts'
import { CURSOR_FORMATS } from '../../../lib/cursor.ts'
import { apiConfigSchema } from '../../../lib/http/config.ts'
import type { Json } from '../../../lib/record.ts'
import { problemsOf } from './problems.ts'

const path = (what: string) => z.string().min(1).describe(`${what} A path: \`a.b\`, \`a.0\`, or \`/a.b\` for odd keys.`)
const scalar = z.union([z.string(), z.number(), z.boolean()])
const where = z
  .enum(['query', 'json'])
  .default('query')
  .describe('Where it is sent: in the query, or in the JSON body (`param` is then a path in it). Default query.')

const ends = {
  has_more: path('Where the answer says whether more follows; missing counts as false.').optional(),
  is_last: path('Where the answer says whether this is the last page.').optional(),
}

const sized = {
  page_size: z.number().int().min(1).optional().describe('Records to ask for at once. Default: what the API gives.'),
  page_size_param: z.string().min(1).default('limit').describe('Parameter for `page_size`. Default `limit`.'),
  total: path('Where the answer says how many records there are in all.').optional(),
}

export const paginationSchema = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('none').describe('All records come in one answer.') }),
    z.strictObject({
      type: z.literal('cursor').describe('The answer holds a token that asks for the next page.'),
      cursor: path('Where the answer has the token; without one it is the last page.').optional(),
      last_record: path('Instead: where the last record of a page has it. Ends with an empty page.').optional(),
      param: z.string().min(1).default('cursor').describe('Parameter for the token. Default `cursor`.'),
      in: where,
      ...sized,
      ...ends,
    }),
    z.strictObject({
      type: z.literal('next_link').describe('The answer holds the URL of the next page.'),
      next: path('Where that is. Default `next`.').default('next'),
      ...sized,
      ...ends,
    }),
    z.strictObject({
      type: z.literal('link_header').describe('The URL of the next page is in the `Link` header.'),
      rel: z.string().min(1).default('next').describe('Its relation. Default `next`.'),
      ...sized,
      ...ends,
    }),
    z.strictObject({
      type: z.literal('page_number').describe('Pages have numbers.'),
      param: z.string().min(1).default('page').describe('Parameter for the number. Default `page`.'),
      in: where,
      first: z.number().int().min(0).default(1).describe('Number of the first page. Default 1.'),
      total_pages: path('Where the answer says how many pages there are.').optional(),
      ...sized,
      ...ends,
    }),
    z.strictObject({
      type: z.literal('offset').describe('A page begins after so many records.'),
      param: z.string().min(1).default('offset').describe('Parameter for that number. Default `offset`.'),
      in: where,
      ...sized,
      ...ends,
    }),
  ])
  .default({ type: 'none' })
  .describe('How to get the next page. Default: there is one page.')

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 } as const

const lookback = z
  .union([z.number().min(0), z.string().regex(/^\d+(\.\d+)?[smhd]$/)])
  .default(0)
  .transform((value) => {
    if (typeof value === 'number') return value
    return Number(value.slice(0, -1)) * UNITS[value.slice(-1) as keyof typeof UNITS]
  })
  .describe(
    'How much earlier than the watermark to begin: seconds, or `90s`, `15m`, `6h`, `2d`; for plain numbers their own unit. What comes twice for it is added twice. Default 0.',
  )

export const incrementalSchema = z.strictObject({
  cursor_field: path('Where a record has the value that says how new it is.'),
  param: z
    .string()
    .min(1)
    .optional()
    .describe('Parameter for where to begin, inclusive; or use `{since}` in the request.'),
  start_value: z
    .union([z.string().min(1), z.number()])
    .transform(String)
    .optional()
    .describe('Where the first run begins. Default: with everything.'),
  end_param: z
    .string()
    .min(1)
    .optional()
    .describe('Parameter for where to end: the time at which the run began; or use `{until}` in the request.'),
  format: z
    .enum(CURSOR_FORMATS)
    .default('as_is')
    .describe('How values are written in the request. Default as_is: as the records have them.'),
  lookback,
})

const parentSchema = z.strictObject({
  stream: z.string().min(1).describe('The endpoint whose records this one is asked for, one after the other.'),
  fields: z
    .record(z.string().regex(/^[A-Za-z_]\w*$/), z.string().min(1))
    .refine((fields) => Object.keys(fields).length > 0, 'must not be empty')
    .describe('Placeholders for the request, `{name}`, and the path of each in the parent’s record.'),
  include: z
    .array(z.string().min(1))
    .default([])
    .describe('Placeholders to put into each record as well, under their names. Default: none.'),
  on_missing: z
    .enum(['fail', 'skip'])
    .default('fail')
    .describe(
      'When the API answers 404 or 410 for one of its records: fail; or skip it with a warning, since it may have been deleted after it was listed. Default fail.',
    ),
})

const json: z.ZodType<Json> = z.json()

export const endpointSchema = z.strictObject({
  path: z.string().describe('After `base_url`. May have placeholders.'),
  method: z.enum(['GET', 'POST']).optional().describe('Default GET, with `json` POST.'),
  params: z
    .record(z.string(), z.union([scalar, z.array(scalar)]))
    .default({})
    .describe('Query parameters; a list repeats the name. May have placeholders.'),
  headers: z.record(z.string(), z.string()).default({}).describe('Headers beside those of the source.'),
  json: json.optional().describe('Body, sent as JSON. May have placeholders.'),
  repeatable: z
    .boolean()
    .default(true)
    .describe('Whether a POST only searches, so that it may be sent again after a failure. Default true.'),
  records: path('Where the answer has the list of records; `.`: it is the list. Default `.`.').default('.'),
  single: z
    .boolean()
    .default(false)
    .describe('`records` leads to one object, which is the record, instead of a list. Default false.'),
  id: z
    .union([
      z
        .string()
        .min(1)
        .transform((one) => [one]),
      z.array(z.string().min(1)).min(1),
    ])
    .optional()
    .describe(
      'Where a record has its id, a string or an integer; of several the first that it has. Default: its place in the read.',
    ),
  timestamp: path('Where a record has its time: RFC 3339, or seconds or milliseconds since 1970.').optional(),
  primary_key: z
    .union([
      z
        .string()
        .min(1)
        .transform((one) => [one]),
      z.array(z.string().min(1)).min(1),
    ])
    .optional()
    .describe('Fields that tell records apart, for destinations that merge.'),
  schema: z.record(z.string(), json).optional().describe('JSON Schema of a record.'),
  pagination: paginationSchema,
  incremental: incrementalSchema.optional().describe('For `sync_mode: incremental`.'),
  parent: parentSchema.optional().describe('Asks once for each record of another endpoint.'),
  max_pages: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Stop after so many pages (of each parent); not in an incremental run. Default: at the end.'),
  max_records: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Stop after so many records (of each parent); not in an incremental run. Default: at the end.'),
  stop_when: z
    .strictObject({ path: path('Where in the answer.'), equals: scalar.describe('The value that ends the read.') })
    .optional()
    .describe('Stop with the page whose answer has this value. An incremental run takes what follows for unwanted.'),
  resumable: z
    .boolean()
    .optional()
    .describe(
      'Whether an interrupted full refresh goes on later where it was. Default: not with page_number and offset, whose records move when others come.',
    ),
})

/** An http or https URL, whose end makes no difference. */
export const baseUrl = z
  .string()
  .refine(
    (text) => /^https?:\/\//i.test(text) && URL.canParse(text),
    'expected a URL that begins with http:// or https://',
  )

export const restSchema = z
  .strictObject({
    base_url: baseUrl.describe('Where the API is; paths begin after it.'),
    headers: z.record(z.string(), z.string()).default({}).describe('Headers of every request.'),
    authentication: authenticationSchema.optional().describe('Who is asking. Default: nobody.'),
    api_config: apiConfigSchema.prefault({}).describe('Retries, timeouts and rate limits.'),
    allow_hosts: z
      .array(z.string().min(1))
      .default([])
      .describe('Other hosts (`name` or `name:port`) that links to next pages may lead to. Default: none.'),
    endpoints: z
      .record(z.string().min(1), endpointSchema)
      .refine((endpoints) => Object.keys(endpoints).length > 0, 'must not be empty')
      .describe('The streams: a name for each, and how to read it.'),
  })
  .superRefine((config, context) => {
    for (const { path: at, message } of problemsOf(config.endpoints)) {
      context.addIssue({ code: 'custom', path: ['endpoints', ...at], message })
    }
  })

export type RestConfig = z.output<typeof restSchema>
export type EndpointConfig = z.output<typeof endpointSchema>
export type EndpointInput = z.input<typeof endpointSchema>
export type PaginationConfig = z.output<typeof paginationSchema>
