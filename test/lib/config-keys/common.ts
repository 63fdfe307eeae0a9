// Cases of the keys that do not belong to one connector: sections 2, 3, 5, 9, 10 and 11.2 of the specification.

import {
  alertingSchema,
  destinationConfigSchema,
  destinationSchema,
  monitoringSchema,
  pipelineSchema,
  secretsSchema,
  sourceSchema,
  streamsSchema,
} from '../../../lib/config/schema.ts'
import type { KeyGroup } from '../../support/key-cases.ts'

const tiny = {
  name: 'tiny',
  source: { name: 'dummy', stream: 'generator' },
  destination: { name: 'logger', config: {} },
}
const slack = { type: 'slack', config: { webhook_url: 'https://hooks.example/1' } }
const datadog = { type: 'datadog', config: { datadog_agent_host: '10.0.0.9' } }
const COLUMN = { name: 'id', type: 'INTEGER', mode: 'REQUIRED' }
const columns = { destination_id: 'orders', record_schema: [COLUMN] }

export const common: readonly KeyGroup[] = [
  {
    title: 'the top level',
    base: tiny,
    at: '',
    schema: pipelineSchema.omit({ alerting: true, monitoring: true, secrets: true, streams: true, transforms: true }),
    keys: {
      name: ['tiny', 2024, 'expected a string, got 2024; write it in quotes'],
      source: [{ name: 'dummy', stream: 'plants' }, [], 'expected a mapping, got a list'],
      destination: [{ name: 'logger' }, 'logger', 'expected a mapping, got "logger"'],
      engine: [null, 5, 'expected a mapping, got 5'],
      verify: ['yes', 'always', 'expected true or false, got "always"'],
    },
  },
  {
    title: 'blocks of the top level',
    base: tiny,
    at: '',
    schema: pipelineSchema.pick({ alerting: true, monitoring: true, secrets: true, streams: true, transforms: true }),
    elsewhere: ['alerting.', 'monitoring.', 'secrets.', 'streams[]', 'transforms[]'],
    keys: {
      alerting: [slack, [], 'expected a mapping, got a list'],
      monitoring: [datadog, 'datadog', 'expected a mapping, got "datadog"'],
      secrets: [{}, 'gsm', 'expected a mapping, got a string'],
      streams: [[], {}, 'expected a list, got a mapping'],
      transforms: [[], {}, 'expected a list, got a mapping'],
    },
  },
  {
    title: 'source',
    base: tiny,
    at: 'source',
    schema: sourceSchema,
    elsewhere: ['authentication.'],
    keys: {
      name: ['dummy', 'dumy', 'unknown source "dumy"; did you mean "dummy"?'],
      stream: ['creatures', 'creature', 'unknown stream "creature" of dummy; did you mean "creatures"?'],
      source_file_path: [null, 5, 'expected a string, got 5; write it in quotes'],
      sync_mode: [
        'incremental',
        'increment',
        'expected one of full_refresh, incremental, stream, got "increment"; did you mean "incremental"?',
      ],
      cursor_field: ['updated_at', 7, 'expected a string, got 7; write it in quotes'],
      force_ignore_checkpoint: ['yes', 'perhaps', 'expected true or false, got "perhaps"'],
      reset: [true, 2, 'expected true or false, got 2'],
      authentication: [{ type: 'api_key', params: { token: 'abc' } }, 'abc', 'expected a mapping, got "abc"'],
      max_iterations: ['3', 0, 'expected an integer of 1 or more, got 0'],
      api_config: [{}, 3, 'expected a mapping, got 3'],
      'api_config.retry_limit': [0, -1, 'expected an integer of 0 or more, got -1'],
      'api_config.retry_seconds': [0, -1, 'expected a number from 0 to 2147483, got -1'],
      'api_config.rate_limit_seconds': ['60', 'long', 'expected a number from 0 to 2147483, got "long"'],
      'api_config.connect_timeout': [0.5, 0, 'expected a number above 0, at most 2147483, got 0'],
      'api_config.response_timeout': [120, 0, 'expected a number above 0, at most 2147483, got 0'],
      'api_config.body_timeout': [120, 0, 'expected a number above 0, at most 2147483, got 0'],
      'api_config.max_response_size': [2047, 4096, 'expected a number above 0, at most 2047, got 4096'],
      'api_config.requests_per_second': [0.5, 0, 'expected a number above 0, at most 10000, got 0'],
      init_pipeline: ['off', 'never', 'expected true or false, got "never"'],
    },
  },
  {
    title: 'destination',
    base: tiny,
    at: 'destination',
    schema: destinationSchema,
    keys: {
      name: ['file', 'flie', 'unknown destination "flie"; did you mean "file"?'],
      destination_file_path: [null, 5, 'expected a string, got 5; write it in quotes'],
      alias: ['lake', '', 'must not be empty'],
      config: [null, [], 'expected a mapping, got a list'],
    },
  },
  {
    title: 'destination.config',
    base: { ...tiny, destination: { name: 'logger', config: { record_schemas: [columns] } } },
    at: 'destination.config',
    schema: destinationConfigSchema,
    keys: {
      buffer_size: ['0', -1, 'expected an integer of 0 or more, got -1'],
      buffer_flush_timeout: [0, 3_000_000, 'expected an integer from 0 to 2147483, got 3000000'],
      max_concurrent_threads: [4, 0, 'expected an integer of 1 or more, got 0'],
      max_shrink_pct: [50, 101, 'expected a number from 0 to 100, got 101'],
      record_schemas: [[columns], {}, 'expected a list, got a mapping'],
      'record_schemas[].destination_id': ['orders', '', 'must not be empty'],
      'record_schemas[].record_schema': [[], null, 'is required'],
      'record_schemas[].record_schema[].name': ['id', 5, 'expected a string, got 5; write it in quotes'],
      'record_schemas[].record_schema[].type': ['whatever', 5, 'expected a string, got 5; write it in quotes'],
      'record_schemas[].record_schema[].description': ['The id.', [], 'expected a string, got a list'],
      unnest: ['on', 'false please', 'expected "columns" or true or false, got "false please"'],
      authentication: [{ anything: 1 }, 'key', 'expected a mapping, got "key"'],
      destination_id: ['out/{stream}', 7, 'expected a string, got 7; write it in quotes'],
    },
  },
  {
    title: 'streams',
    base: {
      ...tiny,
      source: { ...tiny.source, sync_mode: 'stream' },
      streams: [{ name: 'orders', source: {}, destination: { table_id: 'orders', record_schema: [COLUMN] } }],
    },
    at: 'streams',
    schema: streamsSchema,
    keys: {
      '[].name': ['refunds', '', 'must not be empty'],
      '[].source': [{ of_our_own: 1 }, 'orders', 'expected a mapping, got "orders"'],
      '[].source.name': ['orders', 1, 'expected a string, got 1; write it in quotes'],
      '[].source.topic': ['shop.orders', '', 'must not be empty'],
      '[].source.endpoint': ['/orders', 1, 'expected a string, got 1; write it in quotes'],
      '[].destination': [{ table_id: 'a', of_our_own: 1 }, null, 'is required'],
      '[].destination.table_id': ['shop.raw.orders', '', 'must not be empty'],
      '[].destination.record_schema': [[COLUMN], {}, 'expected a list, got a mapping'],
      '[].destination.record_schema[].name': ['id', '', 'must not be empty'],
      '[].destination.record_schema[].type': ['string', 1, 'expected a string, got 1; write it in quotes'],
      '[].destination.record_schema[].mode': [
        'NULLABLE',
        'nullable',
        'expected one of NULLABLE, REQUIRED, REPEATED, got "nullable"; did you mean "NULLABLE"?',
      ],
      '[].destination.record_schema[].description': ['The id.', 1, 'expected a string, got 1; write it in quotes'],
      '[].destination.record_schema[].default_value_expression': [
        'CURRENT_TIMESTAMP()',
        1,
        'expected a string, got 1; write it in quotes',
      ],
      '[].destination.clustering_keys': [['id'], 'id', 'expected a list, got "id"'],
    },
  },
  {
    title: 'alerting',
    base: { ...tiny, alerting: slack },
    at: 'alerting',
    schema: alertingSchema,
    keys: {
      type: ['slack', 'email', 'expected "slack", got "email"'],
      log_levels: [
        ['WARNING', 'CRITICAL'],
        ['error'],
        '[0]: expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL, got "error"; did you mean "ERROR"?',
      ],
      config: [{ webhook_url: 'env' }, null, 'is required'],
      'config.webhook_url': ['https://hooks.example/2', 5, 'expected a string, got a number; write it in quotes'],
    },
  },
  {
    title: 'monitoring',
    base: { ...tiny, monitoring: datadog },
    at: 'monitoring',
    schema: monitoringSchema,
    keys: {
      type: ['datadog', 'statsd', 'expected "datadog", got "statsd"'],
      enable_tracing: [true, 'maybe', 'expected true or false, got "maybe"'],
      config: [{ datadog_host_env_var: 'DD_AGENT_HOST' }, {}, 'needs datadog_agent_host, or datadog_host_env_var'],
      'config.datadog_agent_host': ['localhost', 5, 'expected a string, got 5; write it in quotes'],
      'config.datadog_host_env_var': ['DD_AGENT_HOST', 1, 'expected a string, got 1; write it in quotes'],
      'config.datadog_agent_port': ['8126', 0, 'expected an integer from 1 to 65535, got 0'],
      'config.tags': [null, { team: 1 }, '.team: expected a string, got 1; write it in quotes'],
      'config.enable_tracing': ['true', 'maybe', 'expected true or false, got "maybe"'],
    },
  },
  {
    title: 'secrets',
    base: tiny,
    at: 'secrets',
    schema: secretsSchema,
    keys: {
      gsm: [null, 'shop', 'expected a mapping, got "shop"'],
      'gsm.project_id': ['shop-secrets', 12, 'expected a string, got 12; write it in quotes'],
      'gsm.endpoint': [
        'secretmanager.europe-west3.rep.googleapis.com',
        12,
        'expected a string, got 12; write it in quotes',
      ],
    },
  },
]
