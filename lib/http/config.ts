// `source.api_config`: what a user may say about the network, for every source that uses HTTP.

import * as z from 'zod'
import { MOST_SECONDS } from '../wait.ts'

const seconds = (fallback: number, what: string) =>
  z.number().positive().max(MOST_SECONDS).default(fallback).describe(`${what} Seconds. Default ${fallback}.`)

export const apiConfigSchema = z.strictObject({
  retry_limit: z
    .number()
    .int()
    .min(0)
    .default(10)
    .describe('How often a request that failed in passing is tried again; 0: never. Default 10.'),
  retry_seconds: z
    .number()
    .min(0)
    .max(MOST_SECONDS)
    .default(300)
    .describe(
      'How long a request may take with all its retries, but for waits that the API asks for; then it fails. Seconds. Default 300.',
    ),
  rate_limit_seconds: z
    .number()
    .min(0)
    .max(MOST_SECONDS)
    .default(3900)
    .describe(
      'How long a request waits in all when the API asks for it (`Retry-After`, rate limits); when it asks for more, the run fails. Seconds. Default 3900.',
    ),
  connect_timeout: seconds(10, 'How long connecting may take, TLS included.'),
  response_timeout: seconds(60, 'How long the API may take to begin its answer.'),
  body_timeout: seconds(60, 'How long an answer that has begun may pause.'),
  max_response_size: z
    .number()
    .positive()
    .max(2047)
    .default(64)
    .describe('Largest answer, decompressed; a larger one fails. MiB. Default 64.'),
  requests_per_second: z
    .number()
    .positive()
    .max(10_000)
    .optional()
    .describe(
      'Most requests a second to one host, all streams of the process together; 0.5: one in two seconds. Default: as many as the API allows.',
    ),
})

export type ApiConfig = z.output<typeof apiConfigSchema>
