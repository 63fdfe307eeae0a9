// Any HTTP API that answers JSON, described in YAML. Records reach the destination as the bytes they came as.
//
//   rest/config.ts  rest/problems.ts    what a user says, and what is wrong with it
//   rest/endpoint.ts  rest/template.ts  an endpoint made ready: compiled paths; placeholders filled
//   rest/pages.ts  rest/links.ts        what asks for a page, and where the next one is
//   rest/endless.ts                     paging that would never end
//   rest/records.ts                     an answer to records: id, time, cursor value
//   rest/read.ts                        page after page, for a child of each record of its parent
//   rest/source.ts                      the source of one endpoint; pokeapi and gbif stand on it too

import { defineSource, type StreamInfo } from '../../lib/source.ts'
import { restSchema } from './rest/config.ts'
import { endpointOf, streamOf } from './rest/endpoint.ts'
import { createSource } from './rest/source.ts'

export default defineSource({
  summary: 'Any HTTP API that answers JSON, described in YAML: paging, authentication, incremental, children.',
  config: restSchema,
  tuning: ['api_config', 'authentication', 'headers', 'allow_hosts'],
  streams: (config): readonly StreamInfo[] =>
    config
      ? Object.keys(config.endpoints).map((name) => streamOf(name, config.endpoints))
      : [{ name: '*', incremental: true, resumable: true }],
  create: (config, context) =>
    createSource(
      {
        endpoint: endpointOf(context.stream, config.endpoints),
        baseUrl: config.base_url,
        headers: config.headers,
        authentication: config.authentication,
        api: config.api_config,
        hosts: config.allow_hosts,
      },
      context,
    ),
})
