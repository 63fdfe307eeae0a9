import { describe, expect, test } from 'vitest'
import { load, pipeline, problemsOf, withSource } from '../../support/yaml-config.ts'

const known =
  'api_config, authentication, cursor_field, force_ignore_checkpoint, init_pipeline, max_iterations, name, reset, sleep, source_file_path, stream, sync_mode'

describe('each key of `source` is accepted', () => {
  test.each<[string, string, object]>([
    ['sync_mode', withSource('sync_mode: incremental'), { source: { mode: 'incremental' } }],
    ['sync_mode stream', withSource('sync_mode: stream'), { source: { mode: 'stream' } }],
    ['cursor_field', withSource('cursor_field: updated_at'), { source: { cursorField: 'updated_at' } }],
    [
      'force_ignore_checkpoint',
      withSource('force_ignore_checkpoint: yes'),
      { source: { forceIgnoreCheckpoint: true } },
    ],
    ['reset', withSource('reset: "on"'), { source: { reset: true } }],
    ['max_iterations', withSource('max_iterations: "3"'), { source: { maxIterations: 3 } }],
    [
      'authentication',
      withSource('authentication: {type: api_key, params: {token: x}}'),
      { source: { options: { sleep: 0 } } },
    ],
    ['api_config', withSource('api_config: {retry_limit: 5}'), {}],
    ['init_pipeline', withSource('init_pipeline: false'), {}],
    [
      'null keys',
      withSource('max_iterations:\ncursor_field: ~\nauthentication: null\nsleep: null'),
      { source: { options: { sleep: 0 } } },
    ],
    ['a key of the connector', withSource('sleep: "2"'), { source: { options: { sleep: 2 } } }],
  ])('%s', async (_title, yaml, expected) => {
    expect(await load(yaml)).toMatchObject(expected)
  })
})

describe('each key of `source` is checked', () => {
  test.each<[string, string, string[]]>([
    [
      'unknown key of a source',
      withSource('strean: x'),
      ['config.yml:5:3 source.strean: unknown key; did you mean "stream"?'],
    ],
    [
      'unknown key near one of the connector',
      withSource('slep: 1'),
      ['config.yml:5:3 source.slep: unknown key; did you mean "sleep"?'],
    ],
    [
      'unknown key near nothing',
      withSource('colour: red'),
      [`config.yml:5:3 source.colour: unknown key; known keys: ${known}`],
    ],
    [
      'unknown key deep in a source',
      withSource('api_config:\n  retry_limits: 3'),
      ['config.yml:6:5 source.api_config.retry_limits: unknown key; did you mean "retry_limit"?'],
    ],
    [
      'unknown source',
      pipeline({ source: 'source:\n  name: zooo\n  stream: x\n' }),
      ['config.yml:3:9 source.name: unknown source "zooo"; did you mean "zoo"?'],
    ],
    [
      'a source of later',
      pipeline({ source: 'source:\n  name: hubspot\n  stream: contact\n  reset: 5\n' }),
      [
        'config.yml:2:1 source.authentication: is required',
        'config.yml:3:9 source.name: hubspot is not built yet; it comes with bizon 0.5',
        'config.yml:4:11 source.stream: unknown stream "contact" of hubspot; did you mean "contacts"?',
        'config.yml:5:10 source.reset: expected true or false, got 5',
      ],
    ],
    [
      'source.name is a number',
      pipeline({ source: 'source:\n  name: 5\n  stream: x\n' }),
      ['config.yml:3:9 source.name: expected a string, got 5; write it in quotes'],
    ],
    [
      'source.stream is a number that YAML reads as another one',
      pipeline({ source: 'source:\n  name: zoo\n  stream: 04125\n' }),
      ['config.yml:4:11 source.stream: expected a string, got 04125, which YAML reads as 2133; write it in quotes'],
    ],
    ['no source.name', pipeline({ source: 'source:\n  stream: x\n' }), ['config.yml:2:1 source.name: is required']],
    ['no stream', pipeline({ source: 'source:\n  name: zoo\n' }), ['config.yml:2:1 source.stream: is required']],
    [
      'stream without a value',
      pipeline({ source: 'source:\n  name: zoo\n  stream:\n' }),
      ['config.yml:4:3 source.stream: is required'],
    ],
    [
      'unknown stream',
      pipeline({ source: 'source:\n  name: zoo\n  stream: plnats\n' }),
      ['config.yml:4:11 source.stream: unknown stream "plnats" of zoo; did you mean "plants"?'],
    ],
    [
      'unknown stream near nothing',
      pipeline({ source: 'source:\n  name: zoo\n  stream: stones\n' }),
      ['config.yml:4:11 source.stream: unknown stream "stones" of zoo; streams: creatures, plants'],
    ],
    [
      'a stream that is not incremental',
      pipeline({ source: 'source:\n  name: zoo\n  stream: creatures\n  sync_mode: incremental\n' }),
      ['config.yml:5:14 source.sync_mode: stream "creatures" cannot be read incrementally; of zoo these can: plants'],
    ],
    [
      'sync_mode',
      withSource('sync_mode: increment'),
      [
        'config.yml:5:14 source.sync_mode: expected one of full_refresh, incremental, stream, got "increment"; did you mean "incremental"?',
      ],
    ],
    [
      'cursor_field',
      withSource('cursor_field: 1'),
      ['config.yml:5:17 source.cursor_field: expected a string, got 1; write it in quotes'],
    ],
    [
      'force_ignore_checkpoint',
      withSource('force_ignore_checkpoint: 7'),
      ['config.yml:5:28 source.force_ignore_checkpoint: expected true or false, got 7'],
    ],
    ['reset', withSource('reset: maybe'), ['config.yml:5:10 source.reset: expected true or false, got "maybe"']],
    [
      'max_iterations 0',
      withSource('max_iterations: 0'),
      ['config.yml:5:19 source.max_iterations: expected an integer of 1 or more, got 0'],
    ],
    [
      'max_iterations -1',
      withSource('max_iterations: -1'),
      ['config.yml:5:19 source.max_iterations: expected an integer of 1 or more, got -1'],
    ],
    [
      'authentication.type',
      withSource('authentication: {type: apikey}'),
      [
        'config.yml:5:26 source.authentication.type: expected one of api_key, bearer, basic, cookies, oauth, got "apikey"; did you mean "api_key"?',
      ],
    ],
    [
      'api_config',
      withSource('api_config: {retry_limit: -1}'),
      ['config.yml:5:29 source.api_config.retry_limit: expected an integer of 0 or more, got -1'],
    ],
    [
      'init_pipeline',
      withSource('init_pipeline: 2'),
      ['config.yml:5:18 source.init_pipeline: expected true or false, got 2'],
    ],
    [
      'source_file_path',
      withSource('source_file_path: my.py'),
      [
        'config.yml:5:21 source.source_file_path: my.py: a custom source is JavaScript or TypeScript here; see docs/writing-a-source.md',
      ],
    ],
    [
      'a key of the connector',
      withSource('sleep: long'),
      ['config.yml:5:10 source.sleep: expected a number of 0 or more, got "long"'],
    ],
    [
      'source is a list',
      pipeline({ source: 'source: []\n' }),
      ['config.yml:2:9 source: expected a mapping, got a list'],
    ],
  ])('%s', async (_title, yaml, expected) => {
    expect(await problemsOf(yaml)).toEqual(expected)
  })
})

describe('a source with a schema of its own for a common key', () => {
  const secure = (authentication: string) =>
    pipeline({
      source: `source:\n  name: secure\n  stream: all\n${authentication === '' ? '' : `  authentication: ${authentication}\n`}`,
    })

  test('gets the key, checked by that schema alone', async () => {
    const { source } = await load(secure('{type: basic, params: {username: u, password: p}}'))
    expect(source.options).toEqual({ authentication: { type: 'basic', params: { username: 'u', password: 'p' } } })
  })
  test.each([
    ['', 'config.yml:2:1 source.authentication: is required'],
    ['{type: bearer}', 'config.yml:5:26 source.authentication.type: expected one of api_key, basic, got "bearer"'],
    ['{type: api_key, params: {}}', 'config.yml:5:35 source.authentication.params.token: is required'],
    [
      '{type: api_key, params: {token: t, username: u}}',
      'config.yml:5:54 source.authentication.params.username: unknown key; known keys: token',
    ],
  ])('and refuses %j', async (authentication, expected) => {
    const found = await problemsOf(secure(authentication))
    expect(found).toEqual([expected])
  })
})
