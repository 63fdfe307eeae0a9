// What a config of the source `cycle` may hold.

import * as z from 'zod'
import { authenticationOf } from '../../lib/auth.ts'
import { defineSourceShape } from '../../lib/config/planned.ts'

export default defineSourceShape({
  summary: 'Customers of a Cycle workspace.',
  config: z.strictObject({
    slug: z.string().min(1).describe('The workspace, as its address spells it.'),
    authentication: authenticationOf('api_key').describe('API key.'),
  }),
  streams: () => [{ name: 'customers', primaryKey: ['id'] }],
})
