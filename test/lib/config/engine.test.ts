import { describe, expect, test } from 'vitest'
import { load, pipeline, problemsOf, withEngine } from '../../support/yaml-config.ts'

const ANY_SQLITE = 'backend:\n  type: sqlite\n  config:\n    '
const QUEUE = 'queue:\n  type: python_queue\n  config:\n    '
const RUNNER = 'runner:\n  '
const later = (release: string) => `is not built yet; it comes with bizon ${release}; until then use`

describe('each key of `engine` is accepted', () => {
  test.each<[string, string, object]>([
    ['backend', withEngine('backend: {type: sqlite}'), { engine: { backend: { type: 'sqlite', database: 'bizon' } } }],
    [
      'backend in memory',
      withEngine('backend: {type: sqlite_in_memory, config: {database: x, schema: y}}'),
      { engine: { backend: { type: 'sqlite_in_memory' } } },
    ],
    ['database', withEngine(`${ANY_SQLITE}database: state/mine`), { engine: { backend: { database: 'state/mine' } } }],
    ['schema', withEngine(`${ANY_SQLITE}schema: s`), { engine: { backend: { schema: 's' } } }],
    [
      'postgres, as the Python program has it',
      withEngine(
        'backend:\n  type: postgres\n  config: {host: h, port: 5433, database: d, schema: s, username: u, password: p}',
      ),
      {
        engine: {
          backend: {
            type: 'postgres',
            database: 'd',
            schema: 's',
            server: { host: 'h', port: 5433, username: 'u', password: 'p', sslmode: 'prefer' },
          },
        },
      },
    ],
    [
      'postgres, by TLS and without a password',
      withEngine(
        'backend:\n  type: postgres\n  config: {host: h, database: d, schema: s, username: u, sslmode: verify-full, sslrootcert: ca.pem, sslcert: c.pem, sslkey: k.pem}',
      ),
      {
        engine: {
          backend: {
            server: { port: 5432, sslmode: 'verify-full', sslrootcert: 'ca.pem', sslcert: 'c.pem', sslkey: 'k.pem' },
          },
        },
      },
    ],
    ['syncCursorInDBEvery', withEngine(`${ANY_SQLITE}syncCursorInDBEvery: 2`), { engine: { checkpointPages: 2 } }],
    ['echoEngine', withEngine(`${ANY_SQLITE}echoEngine: true`), { engine: { backend: { echo: true } } }],
    ['max_size', withEngine(`${QUEUE}queue: {max_size: 7}`), { engine: { queue: { maxPages: 7 } } }],
    ['max_nb_messages', withEngine(`${QUEUE}max_nb_messages: 1000`), {}],
    ['poll_interval', withEngine(`${QUEUE}consumer: {poll_interval: 1}`), {}],
    ['log_level', withEngine(`${RUNNER}log_level: TRACE`), { engine: { runner: { logLevel: 'TRACE' } } }],
    [
      'runner.config',
      withEngine(`${RUNNER}config: {max_workers: 2, consumer_start_delay: null, is_alive_check_interval: 1}`),
      {},
    ],
    ['nulls inside engine', withEngine('backend:\nqueue:\nrunner:'), { engine: { runner: { type: 'thread' } } }],
    ['runner.config null', withEngine(`${RUNNER}config:`), {}],
  ])('%s', async (_title, yaml, expected) => {
    expect(await load(yaml)).toMatchObject(expected)
  })
})

describe('each key of `engine` is checked', () => {
  test.each<[string, string, string[]]>([
    [
      'engine is a list',
      pipeline({ rest: 'engine: [a]\n' }),
      ['config.yml:8:9 engine: expected a mapping, got a list'],
    ],
    [
      'unknown key in engine',
      withEngine('runer: {}'),
      ['config.yml:9:3 engine.runer: unknown key; did you mean "runner"?'],
    ],
    [
      'backend.type',
      withEngine('backend: {type: sqllite}'),
      [
        'config.yml:9:19 engine.backend.type: expected one of sqlite, sqlite_in_memory, postgres, bigquery, got "sqllite"; did you mean "sqlite"?',
      ],
    ],
    [
      'no backend.type',
      withEngine('backend: {config: {}}'),
      ['config.yml:9:3 engine.backend.type: is required: one of sqlite, sqlite_in_memory, postgres, bigquery'],
    ],
    [
      'postgres',
      withEngine(
        'backend:\n  type: postgres\n  config: {host: h, port: 0, database: d, schema_name: s, username: u, password: 1, sslmode: on}',
      ),
      [
        'config.yml:11:5 engine.backend.config.schema: is required',
        'config.yml:11:29 engine.backend.config.port: expected an integer from 1 to 65535, got 0',
        'config.yml:11:45 engine.backend.config.schema_name: unknown key; did you mean "schema"?',
        'config.yml:11:84 engine.backend.config.password: expected a string, got a number; write it in quotes',
        'config.yml:11:96 engine.backend.config.sslmode: expected one of disable, prefer, require, verify-ca, verify-full, got on, which YAML reads as true',
      ],
    ],
    [
      'bigquery',
      withEngine('backend: {type: bigquery, config: {database: d, schema: s}}'),
      [`config.yml:9:19 engine.backend.type: bigquery ${later('0.5')} postgres, sqlite or sqlite_in_memory`],
    ],
    [
      'database',
      withEngine(`${ANY_SQLITE}database: 1`),
      ['config.yml:12:17 engine.backend.config.database: expected a string, got 1; write it in quotes'],
    ],
    [
      'schema',
      withEngine(`${ANY_SQLITE}schema: []`),
      ['config.yml:12:15 engine.backend.config.schema: expected a string, got a list'],
    ],
    [
      'syncCursorInDBEvery',
      withEngine(`${ANY_SQLITE}syncCursorInDBEvery: 0`),
      ['config.yml:12:28 engine.backend.config.syncCursorInDBEvery: expected an integer of 1 or more, got 0'],
    ],
    [
      'echoEngine',
      withEngine(`${ANY_SQLITE}echoEngine: loud`),
      ['config.yml:12:19 engine.backend.config.echoEngine: expected true or false, got "loud"'],
    ],
    [
      'a key of postgres for sqlite',
      withEngine(`${ANY_SQLITE}host: h`),
      [
        'config.yml:12:7 engine.backend.config.host: unknown key; known keys: database, echoEngine, schema, syncCursorInDBEvery',
      ],
    ],
    [
      'max_size',
      withEngine(`${QUEUE}queue: {max_size: -1}`),
      ['config.yml:12:25 engine.queue.config.queue.max_size: expected an integer of 0 or more, got -1'],
    ],
    [
      'max_nb_messages',
      withEngine(`${QUEUE}max_nb_messages: 0`),
      ['config.yml:12:24 engine.queue.config.max_nb_messages: expected an integer of 1 or more, got 0'],
    ],
    [
      'poll_interval',
      withEngine(`${QUEUE}consumer: {poll_interval: x}`),
      ['config.yml:12:33 engine.queue.config.consumer.poll_interval: expected an integer of 0 or more, got "x"'],
    ],
    [
      'kafka queue',
      withEngine('queue: {type: kafka, config: {queue: {topics: b}}}'),
      [
        'config.yml:9:33 engine.queue.config.queue.bootstrap_server: is required',
        'config.yml:9:41 engine.queue.config.queue.topics: unknown key; did you mean "topic"?',
      ],
    ],
    [
      'rabbitmq queue',
      withEngine('queue: {type: rabbitmq, config: {queue: {queue_name: b}}}'),
      ['config.yml:9:36 engine.queue.config.queue.host: is required'],
    ],
    [
      'runner.type',
      withEngine(`${RUNNER}type: threads`),
      [
        'config.yml:10:11 engine.runner.type: expected one of thread, process, stream, got "threads"; did you mean "thread"?',
      ],
    ],
    [
      'log_level',
      withEngine(`${RUNNER}log_level: debug`),
      [
        'config.yml:10:16 engine.runner.log_level: expected one of TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL, got "debug"; did you mean "DEBUG"?',
      ],
    ],
    [
      'runner.config',
      withEngine(`${RUNNER}config: {max_workers: 0}`),
      ['config.yml:10:27 engine.runner.config.max_workers: expected an integer of 1 or more, got 0'],
    ],
    [
      'unknown key in runner',
      withEngine(`${RUNNER}max_workers: 2`),
      ['config.yml:10:5 engine.runner.max_workers: unknown key; it belongs under "config"'],
    ],
  ])('%s', async (_title, yaml, expected) => {
    expect(await problemsOf(yaml)).toEqual(expected)
  })
})

test('the key that an example of the Python bizon has at the wrong place is a warning', async () => {
  const { warnings, engine } = await load(withEngine('backend:\n  type: sqlite\n  syncCursorInDBEvery: 2'))
  expect(warnings).toEqual([
    expect.stringMatching(
      /config.yml:11:5 engine.backend.syncCursorInDBEvery: has no effect; it belongs under "config"$/,
    ),
  ])
  expect(engine.checkpointPages).toBe(10)
})
