// What a config of the destination `bigquery_streaming_v2` may hold.

import { defineDestinationShape } from '../../lib/config/planned.ts'
import { ignored, tableId } from './bigquery.ts'
import { streamingConfig } from './bigquery_streaming.ts'

export default defineDestinationShape({
  summary: 'Tables of BigQuery, by the Storage Write API.',
  alias: 'bigquery',
  config: streamingConfig,
  ignored,
  tableId,
})
