// What a config of the source `sana_ai` may hold.

import * as z from 'zod'
import { authenticationOf } from '../../lib/auth.ts'
import { defineSourceShape } from '../../lib/config/planned.ts'

export default defineSourceShape({
  summary: 'The answer to one query of Sana Insights.',
  config: z.strictObject({
    query: z.string().min(1).describe('Query, in the language of Sana Insights.'),
    domain: z.string().min(1).describe('What stands before `.sana.ai` in the address.'),
    authentication: authenticationOf('oauth').describe('OAuth client.'),
  }),
  streams: () => [{ name: 'insight_report' }],
})
