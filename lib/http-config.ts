// `source.api_config`: what a user may say about the network, for every source that uses HTTP.

import * as z from 'zod'

export const apiConfigSchema = z.strictObject({
  retry_limit: z
    .number()
    .int()
    .min(0)
    .default(10)
    .describe('How often a request that failed in passing is tried again; 0: never. Default 10.'),
})

export type ApiConfig = z.output<typeof apiConfigSchema>
