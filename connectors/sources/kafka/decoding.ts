// What a config says about how messages become records, and the pieces that do it.

import * as z from 'zod'
import { InvalidKey } from '../../../lib/config/invalid-key.ts'
import type { ApiConfig } from '../../../lib/http/config.ts'
import type { CreateHttp } from '../../../lib/http.ts'
import type { Log } from '../../../lib/log.ts'
import { type Decoder, decoderOf, type Encoding, KEY_ENCODINGS, VALUE_ENCODINGS } from './decode.ts'
import { ID_BYTES } from './framing.ts'
import { DUPLICATES } from './headers.ts'
import type { Repair } from './json.ts'
import { Records } from './records.ts'
import { ID_KINDS, REGISTRIES, Registry } from './registry.ts'
import { Rejects } from './rejects.ts'
import { Schemas } from './schemas.ts'
import { Undecodable } from './undecodable.ts'

const drop = (what: string, fallback: boolean) =>
  z.boolean().default(fallback).describe(`Leave out and count messages ${what}. Default ${fallback}.`)

/** Keys of the source. */
export const decodingKeys = {
  message_encoding: z
    .enum(VALUE_ENCODINGS)
    .default('avro')
    .describe(
      'How values are written: `avro` with a schema id (needs `npm install avsc`), `utf-8` or `json` for JSON, `string` for text, `bytes` for base64. Default avro.',
    ),
  key_encoding: z
    .enum(KEY_ENCODINGS)
    .default('json')
    .describe(
      'How keys are written: `json`, `string`, `bytes`, which become base64, or `avro`. A key that is no text fails, but as `bytes`. Default json.',
    ),
  schema_id_bytes: z
    .preprocess((value) => (typeof value === 'number' ? String(value) : value), z.enum(ID_BYTES))
    .default('auto')
    .describe('Avro: how long the schema id is. `auto`: 8 bytes where the first four are zero, else 4. Default auto.'),
  include_schema: z
    .boolean()
    .default(false)
    .describe('Avro: whether each record has its whole schema, as `schema`. Default false: it is `{}`.'),
  duplicate_headers: z
    .enum(DUPLICATES)
    .default('last')
    .describe('Of headers with one name the `last`, or all as a `list`. Default last.'),
  debezium: z
    .enum(['envelope', 'unwrap'])
    .default('envelope')
    .describe(
      '`unwrap`: records are the rows of Debezium’s envelopes, with `__deleted`, `__cluster`, `__kafka_partition`, `__kafka_offset` and `__event_timestamp`. Default envelope: as they are.',
    ),
  skip_message_empty_value: drop('without a value; false: their value is null', true),
  skip_message_invalid_keys: drop('whose key cannot be decoded', false),
  skip_message_on_decode_error: drop('whose value cannot be decoded', false),
  dead_letter_path: z
    .string()
    .min(1)
    .optional()
    .describe(
      'File for messages that cannot be decoded and are left out, each with the reason. After a crash some may stand there twice. Default: none.',
    ),
}

/** Keys of `authentication`. */
export const registryKeys = {
  schema_registry_type: z
    .enum(REGISTRIES)
    .default('apicurio')
    .describe(
      'Kind of registry: `apicurio` (API v2), `apicurio_v3`, or `confluent` for all that speak its API. Default apicurio.',
    ),
  schema_registry_url: z
    .string()
    .default('')
    .describe('Address of the registry, for Avro, without `/apis/registry/…` or `/schemas/…`. Default: none.'),
  schema_registry_username: z.string().default('').describe('User at the registry. Default: none.'),
  schema_registry_password: z
    .string()
    .default('')
    .describe('Password at the registry; better as a reference, `env://NAME`. Default: empty.'),
  schema_registry_ids: z
    .enum(ID_KINDS)
    .default('global')
    .describe('Apicurio: whether ids in messages are `global` ids or `content` ids. Default global.'),
}

const decodingSchema = z.object(decodingKeys)
const registrySchema = z.object(registryKeys)

export interface DecodingOptions extends z.output<typeof decodingSchema> {
  readonly authentication?: z.output<typeof registrySchema> | undefined
  readonly topics: readonly { readonly name: string; readonly destination_id?: string | undefined }[]
  readonly api_config?: ApiConfig | undefined
}

export interface Decoding {
  readonly records: Records
  readonly rejects: Rejects
  /** Rejects, saying why, when it cannot work. */
  check(): Promise<void>
}

export function openDecoding(options: DecodingOptions, { http, log }: { http: CreateHttp; log: Log }): Decoding {
  const { message_encoding, key_encoding, authentication, topics } = options
  const encodings: readonly Encoding[] = [message_encoding, key_encoding]
  const schemas = encodings.includes('avro')
    ? new Schemas(registryOf(authentication, options.api_config, http))
    : undefined
  const ids = schemas && { width: options.schema_id_bytes, schemas }
  const rejects = new Rejects(options, log)
  const records = new Records(
    {
      key: exactly(decoderOf(key_encoding, ids)),
      value: decoderOf(message_encoding, ids),
      noKey: key_encoding === 'json' ? '{}' : 'null',
      skipEmpty: options.skip_message_empty_value,
      duplicateHeaders: options.duplicate_headers,
      includeSchema: options.include_schema,
      unwrap: options.debezium === 'unwrap',
      targets: new Map(
        topics.flatMap(({ name, destination_id: id }) => (id === undefined ? [] : [[name, id] as const])),
      ),
    },
    rejects,
    log,
  )
  return { records, rejects, check: async () => schemas?.open() }
}

/** Nothing is mended: two keys could become one. */
function exactly(decoder: Decoder): Decoder {
  return {
    ...decoder,
    add(...given) {
      const last = given.length - 1
      if (given[last] !== undefined) given[last] = refuseMended
      decoder.add(...given)
    },
  }
}

function refuseMended(repair: Repair): never {
  throw new Undecodable(
    `has ${repair}; mended, it might be the key of other messages`,
    'Set source.key_encoding to bytes, which keeps keys exact, in base64. Or source.skip_message_invalid_keys, to load the others without it.',
  )
}

function registryOf(
  authentication: DecodingOptions['authentication'],
  api: ApiConfig | undefined,
  http: CreateHttp,
): Registry {
  const found = authentication
  if (!found || found.schema_registry_url === '') {
    throw new InvalidKey(['source', 'authentication', 'schema_registry_url'], 'is required to read Avro', {
      hint: 'Name the registry; or set source.message_encoding to utf-8 if messages are JSON.',
    })
  }
  return new Registry(
    {
      type: found.schema_registry_type,
      url: found.schema_registry_url,
      username: found.schema_registry_username,
      password: found.schema_registry_password,
      ids: found.schema_registry_ids,
      api,
    },
    http,
  )
}
