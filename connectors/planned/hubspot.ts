// What a config of the source `hubspot` may hold.

import * as z from 'zod'
import { authenticationOf } from '../../lib/auth.ts'
import { defineSourceShape } from '../../lib/config/planned.ts'

const properties = z
  .strictObject({
    strategy: z.enum(['all', 'selected']).default('all').describe('Which properties to read. Default all.'),
    selected_properties: z
      .array(z.string().min(1))
      .default([])
      .describe('With the strategy `selected`: their names. Default: none.'),
  })
  .refine((chosen) => chosen.strategy === 'all' || chosen.selected_properties.length > 0, {
    path: ['selected_properties'],
    error: 'must name a property at least: the strategy is selected',
  })

export default defineSourceShape({
  summary: 'Contacts, companies and deals of HubSpot.',
  config: z.strictObject({
    properties: properties.prefault({}).describe('Properties of each object. Default: all.'),
    authentication: authenticationOf('api_key', 'oauth').describe('Token of a private app, or OAuth.'),
  }),
  streams: () => ['contacts', 'companies', 'deals'].map((name) => ({ name, primaryKey: ['id'] })),
})
