// Cases of the keys of `engine`: section 7 of the specification, one group for each type of backend and queue.

import { engineSchemaWith } from '../../../lib/config/schema.ts'
import { brokerConfigs } from '../../../lib/registry.ts'
import type { KeyCase, KeyGroup } from '../../support/key-cases.ts'

const engineSchema = engineSchemaWith(await brokerConfigs())

type Keys = Readonly<Record<string, KeyCase>>

const group = (title: string, engine: object, at: string, schema: KeyGroup['schema'], keys: Keys): KeyGroup => ({
  title,
  base: {
    name: 'tiny',
    source: { name: 'dummy', stream: 'plants' },
    destination: { name: 'logger', config: {} },
    engine,
  },
  at,
  schema,
  keys,
})

const backend = (type: string, config: object, keys: Keys): KeyGroup =>
  group(`engine.backend, ${type}`, { backend: { type, config } }, 'engine.backend', engineSchema.shape.backend, {
    type: [
      type,
      'sqllite',
      'expected one of sqlite, sqlite_in_memory, postgres, bigquery, got "sqllite"; did you mean "sqlite"?',
    ],
    config: [config, [], 'expected a mapping, got a list'],
    ...Object.fromEntries(Object.entries(keys).map(([key, one]) => [`config.${key}`, one])),
    'config.syncCursorInDBEvery': ['5', 0, 'expected an integer of 1 or more, got 0'],
    'config.echoEngine': ['on', 'loud', 'expected true or false, got "loud"'],
  })

const queue = (type: string, config: object, keys: Keys): KeyGroup =>
  group(`engine.queue, ${type}`, { queue: { type, config } }, 'engine.queue', engineSchema.shape.queue, {
    type: [type, 'python', 'expected one of python_queue, kafka, rabbitmq, got "python"; did you mean "python_queue"?'],
    config: [config, [], 'expected a mapping, got a list'],
    'config.max_nb_messages': ['250000', 0, 'expected an integer of 1 or more, got 0'],
    ...Object.fromEntries(Object.entries(keys).map(([key, one]) => [`config.${key}`, one])),
  })

const local: Keys = {
  database: ['state/mine', 5, 'expected a string, got 5; write it in quotes'],
  schema: ['public', [], 'expected a string, got a list'],
}
const polling: Keys = {
  consumer: [{}, 1, 'expected a mapping, got 1'],
  'consumer.poll_interval': [0, -1, 'expected an integer of 0 or more, got -1'],
}

/** A path, a name: any text but none. */
const plain: KeyCase = ['some', '', 'must not be empty']
const signingIn: Keys = {
  authentication: [{ params: { username: 'u' } }, 'u', 'expected a mapping, got "u"'],
  'authentication.type': ['oauth', 'token', 'expected one of basic, oauth, none, got "token"'],
  'authentication.mechanism': [
    'PLAIN',
    'SCRAM',
    'expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, got "SCRAM"',
  ],
  'authentication.params': [{ username: 'u' }, [], 'expected a mapping, got a list'],
  'authentication.params.username': plain,
  'authentication.params.password': ['', 5, 'expected a string, got a number; write it in quotes'],
  'authentication.params.token': plain,
  'authentication.params.token_url': ['https://login.example', 'login', 'expected a valid url, got "login"'],
  'authentication.params.client_id': plain,
  'authentication.params.client_secret': plain,
  'authentication.params.scope': plain,
  tls: [{}, 'yes', 'expected a mapping, got "yes"'],
  'tls.ca': plain,
  'tls.cert': plain,
  'tls.key': plain,
  'tls.passphrase': ['', 5, 'expected a string, got a number; write it in quotes'],
  'tls.verify': ['no', 'maybe', 'expected true or false, got "maybe"'],
}

export const engine: readonly KeyGroup[] = [
  group('engine', {}, 'engine', engineSchema.pick({ runner: true }), {
    runner: [null, 'thread', 'expected a mapping, got "thread"'],
    'runner.type': [
      'stream',
      'threads',
      'expected one of thread, process, stream, got "threads"; did you mean "thread"?',
    ],
    'runner.log_level': [
      'TRACE',
      'debug',
      'expected one of TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL, got "debug"; did you mean "DEBUG"?',
    ],
    'runner.config': [null, [], 'expected a mapping, got a list'],
    'runner.config.max_workers': [null, 0, 'expected an integer of 1 or more, got 0'],
    'runner.config.consumer_start_delay': [0, -1, 'expected an integer of 0 or more, got -1'],
    'runner.config.is_alive_check_interval': ['2', 'often', 'expected an integer of 0 or more, got "often"'],
  }),
  {
    ...group('engine, its blocks', {}, 'engine', engineSchema.pick({ backend: true, queue: true }), {
      backend: [null, 'sqlite', 'expected a mapping, got "sqlite"'],
      queue: [null, [], 'expected a mapping, got a list'],
    }),
    elsewhere: ['backend.', 'queue.'],
  },
  backend('sqlite', {}, local),
  backend('sqlite_in_memory', {}, local),
  backend(
    'postgres',
    { host: 'db', port: 5432, database: 'd', schema: 's', username: 'u', password: 'p' },
    {
      host: ['db.example', '', 'must not be empty'],
      port: ['5432', 0, 'expected an integer from 1 to 65535, got 0'],
      database: ['bizon', null, 'is required'],
      schema: ['public', null, 'is required'],
      username: ['u', 5, 'expected a string, got 5; write it in quotes'],
      password: ['p', 5, 'expected a string, got a number; write it in quotes'],
      sslmode: ['require', 'maybe', 'expected one of disable, prefer, require, verify-ca, verify-full, got "maybe"'],
      sslrootcert: ['ca.pem', 5, 'expected a string, got 5; write it in quotes'],
      sslcert: ['client.pem', '', 'must not be empty'],
      sslkey: ['client.key', 5, 'expected a string, got 5; write it in quotes'],
    },
  ),
  backend(
    'bigquery',
    { database: 'd', schema: 's' },
    {
      database: ['shop-prod', '', 'must not be empty'],
      schema: ['bizon', 1, 'expected a string, got 1; write it in quotes'],
      service_account_key: ['', {}, 'expected a string, got a mapping'],
    },
  ),
  queue(
    'python_queue',
    {},
    {
      queue: [{}, 50, 'expected a mapping, got 50'],
      'queue.max_size': [50, -1, 'expected an integer of 0 or more, got -1'],
      ...polling,
    },
  ),
  queue(
    'kafka',
    { queue: { bootstrap_server: 'broker:9092' } },
    {
      queue: [{ bootstrap_server: 'b' }, null, 'is required'],
      'queue.bootstrap_server': ['b:9092', null, 'is required'],
      'queue.topic': ['t', 5, 'expected a string, got 5; write it in quotes'],
      'queue.security_protocol': [
        'SASL_SSL',
        'SASL',
        'expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, got "SASL"; did you mean "SSL"?',
      ],
      ...Object.fromEntries(Object.entries(signingIn).map(([key, one]) => [`queue.${key}`, one])),
      'queue.partitions': ['6', 0, 'expected an integer from 1 to 256, got 0'],
      'queue.replicas': ['3', 0, 'expected an integer of 1 or more, got 0'],
      'queue.message_bytes': ['20000', 100, 'expected an integer from 16384 to 536870912, got 100'],
      'queue.linger_ms': [0, -1, 'expected an integer from 0 to 60000, got -1'],
      'queue.dead_letter_topic': ['d', 5, 'expected a string, got 5; write it in quotes'],
      consumer: [null, [], 'expected a mapping, got a list'],
      'consumer.session_timeout_ms': ['6000', 10, 'expected an integer from 1000 to 1800000, got 10'],
      'consumer.group_id': ['g', 5, 'expected a string, got 5; write it in quotes'],
      'consumer.auto_offset_reset': ['latest', 'error', 'expected one of earliest, latest, got "error"'],
      'consumer.enable_auto_commit': ['no', 'n/a', 'expected true or false, got "n/a"'],
      'consumer.consumer_timeout_ms': [0, -1, 'expected an integer of 0 or more, got -1'],
    },
  ),
  queue(
    'rabbitmq',
    { queue: { host: 'mq', queue_name: 'bizon', ssl: true, ssl_cert: 'c.pem', ssl_key: 'k.pem' } },
    {
      queue: [{ host: 'mq', queue_name: 'q' }, null, 'is required'],
      'queue.host': ['mq', 5, 'expected a string, got 5; write it in quotes'],
      'queue.port': ['5671', 70_000, 'expected an integer from 1 to 65535, got 70000'],
      'queue.virtual_host': plain,
      'queue.username': plain,
      'queue.password': ['p', 5, 'expected a string, got a number; write it in quotes'],
      'queue.queue_name': ['bizon', 5, 'expected a string, got 5; write it in quotes'],
      'queue.exchange': ['', 5, 'expected a string, got 5; write it in quotes'],
      'queue.ssl': ['yes', 'maybe', 'expected true or false, got "maybe"'],
      'queue.ssl_ca': plain,
      'queue.ssl_cert': plain,
      'queue.ssl_key': plain,
      'queue.message_bytes': ['20000', 100, 'expected an integer from 10000 to 16777216, got 100'],
      'queue.linger_ms': [0, -1, 'expected an integer from 0 to 60000, got -1'],
      ...polling,
    },
  ),
]
