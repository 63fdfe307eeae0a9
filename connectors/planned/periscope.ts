// What a config of the source `periscope` may hold.

import * as z from 'zod'
import { defineSourceShape } from '../../lib/config/planned.ts'

const text = (what: string) => z.string().min(1).describe(what)

const authentication = z.strictObject({
  type: z.literal('cookies').describe('The cookies of a session.'),
  params: z
    .strictObject({
      cookies: z
        .strictObject({
          cf_bm: text('Cookie `__cf_bm`.'),
          periscope_session: text('Cookie `periscope_session`.'),
        })
        .describe('Cookies of the session.'),
    })
    .describe('The session.'),
})

export default defineSourceShape({
  summary: 'Charts, dashboards, views and users of Periscope.',
  config: z.strictObject({
    workspace_name: text('Workspace.'),
    client_site_id: z.number().int().describe('Id of the site.'),
    database_id: z.number().int().describe('Stream `charts`: only those of this database.'),
    x_csrf_token: text('Token of the session, header `x-csrf-token`.'),
    authentication: authentication.describe('A session of a browser.'),
  }),
  streams: () =>
    ['charts', 'dashboards_metadata', 'dashboards', 'databases', 'users', 'views'].map((name) => ({ name })),
})
