// What a config of the source `kafka` may hold.

import * as z from 'zod'
import { defineSourceShape } from '../../lib/config/planned.ts'

const text = (what: string) => z.string().min(1).describe(what)
const drop = (what: string, fallback: boolean) =>
  z.boolean().default(fallback).describe(`Drop messages ${what}. Default ${fallback}.`)

const authentication = z.strictObject({
  type: z.literal('basic').default('basic').describe('SASL PLAIN. Default basic.'),
  params: z
    .strictObject({
      username: text('User.'),
      password: z.string().default('').describe('Password; better as a reference, `env://NAME`. Default: empty.'),
    })
    .describe('Who reads.'),
  schema_registry_type: z.literal('apicurio').default('apicurio').describe('Kind of registry. Default apicurio.'),
  schema_registry_url: z.string().default('').describe('Address of the registry, for Avro. Default: none.'),
  schema_registry_username: z.string().default('').describe('User at the registry. Default: none.'),
  schema_registry_password: z.string().default('').describe('Password at the registry. Default: empty.'),
})

export default defineSourceShape({
  summary: 'Topics of Kafka, as Avro or JSON.',
  config: z.strictObject({
    bootstrap_servers: text('Brokers: `host:port`, with commas between.'),
    group_id: text('Consumer group. Default bizon.').default('bizon'),
    topics: z
      .array(
        z.strictObject({
          name: text('Topic.'),
          destination_id: text('Target of its records.'),
        }),
      )
      .min(1)
      .describe('Topics to read, each with its target. Default: those of `streams`.'),
    batch_size: z.number().int().min(1).default(100).describe('Messages a page. Default 100.'),
    consumer_timeout: z.number().int().min(1).default(10).describe('Seconds to wait for a page. Default 10.'),
    message_encoding: z.enum(['avro', 'utf-8']).default('avro').describe('How values are written. Default avro.'),
    skip_message_empty_value: drop('without a value', true),
    skip_message_invalid_keys: drop('whose key is not JSON', false),
    skip_message_on_decode_error: drop('that cannot be decoded', false),
    consumer_config: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
      .default({})
      .describe('Settings of the client, in the words of librdkafka. Default: none.'),
    authentication: authentication.describe('For brokers and registry.'),
  }),
  ignored: {
    topic: 'use topics',
    nb_bytes_schema_id: 'each message shows how long its schema id is',
    timestamp_ms_name: 'the time of a record is that of its message',
  },
  streams: () => [{ name: 'topic' }],
})
