// Cases of the keys of connectors that are not built yet.

import { planned } from '../../../connectors/index.ts'
import type { KeyCase, KeyGroup } from '../../support/key-cases.ts'

type Keys = Readonly<Record<string, KeyCase>>

const token = { type: 'api_key', params: { token: 'abc' } }
const oauth = {
  type: 'oauth',
  params: { token_refresh_endpoint: 'https://api.example/token', client_id: 'id', client_secret: 'abc' },
}

async function source(
  name: keyof typeof planned.sources,
  stream: string,
  block: object,
  keys: Keys,
): Promise<KeyGroup> {
  return {
    title: `source ${name}`,
    base: { name: 'tiny', source: { name, stream, ...block }, destination: { name: 'logger', config: {} } },
    at: 'source',
    schema: (await planned.sources[name].load()).default.config,
    keys,
    elsewhere: name === 'periscope' ? [] : ['authentication.'],
  }
}

async function destination(name: keyof typeof planned.destinations, config: object, keys: Keys): Promise<KeyGroup> {
  return {
    title: `destination ${name}`,
    base: { name: 'tiny', source: { name: 'dummy', stream: 'plants' }, destination: { name, config } },
    at: 'destination.config',
    schema: (await planned.destinations[name].load()).default.config,
    keys,
  }
}

const column = { name: 'id', type: 'INTEGER', mode: 'REQUIRED' }
const lists = [{ destination_id: 'p.d.t', record_schema: [column], clustering_keys: ['id'] }]
const everyTable: Keys = {
  project_id: ['shop-prod', 5, 'expected a string, got 5; write it in quotes'],
  dataset_id: ['raw', null, 'is required'],
  dataset_location: ['EU', 5, 'expected a string, got 5; write it in quotes'],
  table_prefix: ['', 5, 'expected a string, got 5; write it in quotes'],
  destination_id: ['p.d.t', 5, 'expected a string, got 5; write it in quotes'],
  authentication: [{}, 'key', 'expected a mapping, got "key"'],
  'authentication.service_account_key': ['{}', {}, 'expected a string, got a mapping'],
  record_schemas: [lists, {}, 'expected a list, got a mapping'],
  'record_schemas[].destination_id': ['p.d.t', '', 'must not be empty'],
  'record_schemas[].record_schema': [[], 'id', 'expected a list, got "id"'],
  'record_schemas[].record_schema[].name': ['id', 5, 'expected a string, got 5; write it in quotes'],
  'record_schemas[].record_schema[].type': [
    'INT64',
    'BOOL',
    'expected one of BOOLEAN, BYTES, DATE, DATETIME, FLOAT, FLOAT64, GEOGRAPHY, INTEGER, INT64, NUMERIC, BIGNUMERIC, JSON, RECORD, STRING, TIME, TIMESTAMP, got "BOOL"',
  ],
  'record_schemas[].record_schema[].mode': ['REPEATED', null, 'is required: one of NULLABLE, REQUIRED, REPEATED'],
  'record_schemas[].record_schema[].description': ['The id.', 5, 'expected a string, got 5; write it in quotes'],
  'record_schemas[].record_schema[].default_value_expression': ['0', 5, 'expected a string, got 5; write it in quotes'],
  'record_schemas[].clustering_keys': [['id'], 'id', 'expected a list, got "id"'],
}
const streaming: Keys = {
  ...everyTable,
  time_partitioning: [null, 'DAY', 'expected a mapping, got "DAY"'],
  'time_partitioning.type': [
    'HOUR',
    'hour',
    'expected one of DAY, HOUR, MONTH, YEAR, got "hour"; did you mean "HOUR"?',
  ],
  'time_partitioning.field': ['received_at', 5, 'expected a string, got 5; write it in quotes'],
  bq_max_rows_per_request: ['10000', 10_001, 'expected an integer from 1 to 10000, got 10001'],
}
const table = { project_id: 'p', dataset_id: 'd', record_schemas: lists }

export const later: readonly KeyGroup[] = await Promise.all([
  source(
    'cycle',
    'customers',
    { slug: 'shop', authentication: token },
    { slug: ['shop', null, 'is required'], authentication: [token, oauth, '.type: expected "api_key", got "oauth"'] },
  ),
  source(
    'gsheets',
    'worksheet',
    { spreadsheet_url: 'https://docs.google.com/spreadsheets/d/1aB/edit', worksheet_name: 'Sheet1' },
    {
      spreadsheet_url: [
        'https://spreadsheets.google.com/ccc?key=1aB',
        'https://docs.google.com/document/d/1aB',
        'is not the address of a spreadsheet: https://…/spreadsheets/d/<id>/…',
      ],
      worksheet_name: ["Bob's tab", '', 'must not be empty'],
      service_account_key: ['{}', {}, 'expected a string, got a mapping'],
      column_names: [['a', 'b'], ['a', 'a'], 'names a column twice'],
      convert_column_names_to_sql_format: [false, 'never', 'expected true or false, got "never"'],
    },
  ),
  source(
    'hubspot',
    'deals',
    { authentication: token },
    {
      properties: [{ strategy: 'selected', selected_properties: ['email'] }, [], 'expected a mapping, got a list'],
      'properties.strategy': ['all', 'some', 'expected one of all, selected, got "some"'],
      'properties.selected_properties': [['email'], 'email', 'expected a list, got "email"'],
      authentication: [
        oauth,
        { type: 'basic', params: { username: 'u' } },
        '.type: expected one of api_key, oauth, got "basic"',
      ],
    },
  ),
  source(
    'notion',
    'pages',
    { authentication: token },
    {
      database_ids: [['a1'], 'a1', 'expected a list, got "a1"'],
      page_ids: [['a1'], [5], '[0]: expected a string, got 5; write it in quotes'],
      fetch_blocks_recursively: ['no', 'some', 'expected true or false, got "some"'],
      max_recursion_depth: [100, 101, 'expected an integer from 1 to 100, got 101'],
      page_size: ['10', 0, 'expected an integer from 1 to 100, got 0'],
      max_workers: [10, 11, 'expected an integer from 1 to 10, got 11'],
      database_filters: [{ a1: { property: 'x' } }, { a1: 'x' }, '.a1: expected a mapping, got "x"'],
      authentication: [
        { type: 'bearer', params: { token: 'abc' } },
        oauth,
        '.type: expected one of api_key, bearer, got "oauth"',
      ],
    },
  ),
  source(
    'periscope',
    'charts',
    {
      workspace_name: 'shop',
      client_site_id: 1,
      database_id: 2,
      x_csrf_token: 'abc',
      authentication: { type: 'cookies', params: { cookies: { cf_bm: 'a', periscope_session: 'b' } } },
    },
    {
      workspace_name: ['shop', '', 'must not be empty'],
      client_site_id: ['1', 1.5, 'expected an integer, got 1.5'],
      database_id: [2, 'two', 'expected an integer, got "two"'],
      x_csrf_token: ['abc', 5, 'expected a string, got a number; write it in quotes'],
      authentication: [
        { type: 'cookies', params: { cookies: { cf_bm: 'a', periscope_session: 'b' } } },
        null,
        'is required',
      ],
      'authentication.type': ['cookies', 'basic', 'expected "cookies", got "basic"'],
      'authentication.params': [{ cookies: { cf_bm: 'a', periscope_session: 'b' } }, null, 'is required'],
      'authentication.params.cookies': [{ cf_bm: 'a', periscope_session: 'b' }, [], 'expected a mapping, got a list'],
      'authentication.params.cookies.cf_bm': ['a', 5, 'expected a string, got 5; write it in quotes'],
      'authentication.params.cookies.periscope_session': ['a', '', 'must not be empty'],
    },
  ),
  source(
    'sana_ai',
    'insight_report',
    { query: 'select 1', domain: 'shop', authentication: oauth },
    {
      query: ['select 2', '', 'must not be empty'],
      domain: ['shop', 5, 'expected a string, got 5; write it in quotes'],
      authentication: [oauth, token, '.type: expected "oauth", got "api_key"'],
    },
  ),
  destination(
    'bigquery',
    { ...table, gcs_buffer_bucket: 'b' },
    {
      ...everyTable,
      create_dataset: ['yes', 'please', 'expected true or false, got "please"'],
      gcs_buffer_bucket: ['b', null, 'is required'],
      gcs_buffer_format: ['parquet', 'csv', 'expected "parquet", got "csv"'],
      time_partitioning: ['MONTH', 'WEEK', 'expected one of DAY, HOUR, MONTH, YEAR, got "WEEK"'],
      async_load: [true, 'later', 'expected true or false, got "later"'],
      load_files_per_job: ['1', 0, 'expected an integer of 1 or more, got 0'],
      load_max_in_flight_jobs: [1, 0, 'expected an integer of 1 or more, got 0'],
    },
  ),
  destination('bigquery_streaming', table, streaming),
  destination('bigquery_streaming_v2', table, streaming),
])
