import { describe, expect, test } from 'vitest'
import { load, pipeline, problemsOf, withConfig } from '../../support/yaml-config.ts'

const COLUMNS = 'record_schemas:\n  - destination_id: a\n    record_schema: [{name: x, type: string, nullable: true}]'

describe('each key of `destination` is accepted', () => {
  test.each<[string, string, object]>([
    [
      'alias',
      pipeline({ destination: 'destination: {name: file, alias: lake, config: {}}\n' }),
      { destination: { alias: 'lake' } },
    ],
    [
      'no destination.config',
      pipeline({ destination: 'destination:\n  name: file\n  config:\n' }),
      { destination: { name: 'file' } },
    ],
    ['buffer_size', withConfig('buffer_size: 1'), { destination: { bufferBytes: 1_048_576 } }],
    ['buffer_size 0', withConfig('buffer_size: 0'), { destination: { bufferBytes: 0 } }],
    ['buffer_flush_timeout', withConfig('buffer_flush_timeout: 0'), { destination: { flushTimeoutSeconds: 0 } }],
    ['max_concurrent_threads', withConfig('max_concurrent_threads: 4'), {}],
    ['destination.config.authentication', withConfig('authentication: {service_account_key: x}'), {}],
    [
      'destination_id',
      withConfig('destination_id: out/{stream}'),
      { destination: { options: { destinationId: 'out/{stream}' } } },
    ],
    ['a key of the destination', withConfig('metadata: none'), { destination: { options: { metadata: 'none' } } }],
    [
      'record_schemas and unnest',
      withConfig(`unnest: true\n${COLUMNS}`),
      {
        destination: {
          options: { unnest: true, recordSchemas: [{ destinationId: 'a', columns: [{ name: 'x', type: 'string' }] }] },
        },
      },
    ],
  ])('%s', async (_title, yaml, expected) => {
    expect(await load(yaml)).toMatchObject(expected)
  })
})

describe('each key of `destination` is checked', () => {
  test.each<[string, string, string[]]>([
    [
      'destination is text',
      pipeline({ destination: 'destination: file\n' }),
      ['config.yml:5:14 destination: expected a mapping, got "file"'],
    ],
    [
      'unknown destination',
      pipeline({ destination: 'destination:\n  name: filee\n  config: {}\n' }),
      ['config.yml:6:9 destination.name: unknown destination "filee"; did you mean "file"?'],
    ],
    [
      'a destination of later',
      pipeline({ destination: 'destination:\n  name: bigquery\n  buffer_size: 4\n  config: {project_id: x}\n' }),
      [
        'config.yml:6:9 destination.name: bigquery is not built yet; it comes with bizon 0.5',
        'config.yml:8:3 destination.config.dataset_id: is required',
        'config.yml:8:3 destination.config.gcs_buffer_bucket: is required',
      ],
    ],
    [
      'no destination.name',
      pipeline({ destination: 'destination:\n  config: {}\n' }),
      ['config.yml:5:1 destination.name: is required'],
    ],
    [
      'alias',
      pipeline({ destination: 'destination: {name: file, alias: 3}\n' }),
      ['config.yml:5:34 destination.alias: expected a string, got 3; write it in quotes'],
    ],
    [
      'a key beside config',
      pipeline({ destination: 'destination:\n  name: file\n  buffer_size: 4\n' }),
      ['config.yml:7:3 destination.buffer_size: unknown key; it belongs under "config"'],
    ],
    [
      'destination.config is a list',
      pipeline({ destination: 'destination:\n  name: file\n  config: [a]\n' }),
      ['config.yml:7:11 destination.config: expected a mapping, got a list'],
    ],
    [
      'buffer_size',
      withConfig('buffer_size: -1'),
      ['config.yml:8:18 destination.config.buffer_size: expected an integer of 0 or more, got -1'],
    ],
    [
      'buffer_size as text',
      withConfig('buffer_size: 50 MB'),
      ['config.yml:8:18 destination.config.buffer_size: expected an integer of 0 or more, got "50 MB"'],
    ],
    [
      'buffer_flush_timeout that no timer can wait',
      withConfig('buffer_flush_timeout: 3000000'),
      ['config.yml:8:27 destination.config.buffer_flush_timeout: expected an integer from 0 to 2147483, got 3000000'],
    ],
    [
      'buffer_flush_timeout',
      withConfig('buffer_flush_timeout: 1.5'),
      ['config.yml:8:27 destination.config.buffer_flush_timeout: expected an integer from 0 to 2147483, got 1.5'],
    ],
    [
      'max_concurrent_threads',
      withConfig('max_concurrent_threads: 0'),
      ['config.yml:8:29 destination.config.max_concurrent_threads: expected an integer of 1 or more, got 0'],
    ],
    [
      'destination_id',
      withConfig('destination_id: 7'),
      ['config.yml:8:21 destination.config.destination_id: expected a string, got 7; write it in quotes'],
    ],
    [
      'destination_id empty',
      withConfig('destination_id: ""'),
      ['config.yml:8:21 destination.config.destination_id: must not be empty'],
    ],
    [
      'destination.config.authentication',
      withConfig('authentication: x'),
      ['config.yml:8:21 destination.config.authentication: expected a mapping, got "x"'],
    ],
    [
      'columns that follow the records, in a file',
      withConfig('unnest: columns'),
      [
        'config.yml:8:13 destination.config.unnest: destination "file" writes no columns but those of record_schemas: write true',
      ],
    ],
    [
      'unnest alone',
      withConfig('unnest: true'),
      [
        'config.yml:8:13 destination.config.unnest: true needs columns: add record_schemas with one entry for each destination_id',
      ],
    ],
    [
      'unnest with an empty list',
      withConfig('unnest: true\nrecord_schemas: []'),
      [
        'config.yml:8:13 destination.config.unnest: true needs columns: add record_schemas with one entry for each destination_id',
      ],
    ],
    [
      'record_schemas is a mapping',
      withConfig('record_schemas: {}'),
      ['config.yml:8:21 destination.config.record_schemas: expected a list, got a mapping'],
    ],
    [
      'record_schemas without columns',
      withConfig('record_schemas:\n  - destination_id: a'),
      ['config.yml:9:9 destination.config.record_schemas[0].record_schema: is required'],
    ],
    [
      'a column without a type',
      withConfig('record_schemas:\n  - destination_id: a\n    record_schema:\n      - name: x'),
      ['config.yml:11:13 destination.config.record_schemas[0].record_schema[0].type: is required'],
    ],
    [
      'unknown key in record_schemas',
      withConfig(`${COLUMNS}\n    clustering_keys: [x]`),
      [
        'config.yml:11:9 destination.config.record_schemas[0].clustering_keys: unknown key; known keys: destination_id, record_schema',
      ],
    ],
    [
      'one destination_id twice',
      withConfig(`${COLUMNS}\n  - destination_id: a\n    record_schema: []`),
      ['config.yml:11:25 destination.config.record_schemas[1].destination_id: there is an entry for this one already'],
    ],
    [
      'one column twice',
      withConfig('record_schemas:\n  - destination_id: a\n    record_schema: [{name: x, type: s}, {name: x, type: s}]'),
      [
        'config.yml:10:52 destination.config.record_schemas[0].record_schema[1].name: there is a column of this name already',
      ],
    ],
    [
      'a key of the destination',
      withConfig('metadata: bison'),
      ['config.yml:8:15 destination.config.metadata: expected one of bizon, none, got "bison"; did you mean "bizon"?'],
    ],
    [
      'unknown key of the destination',
      withConfig('fromat: json'),
      ['config.yml:8:5 destination.config.fromat: unknown key; did you mean "format"?'],
    ],
    ['no destination', pipeline({ destination: '' }), ['config.yml:1:1 destination: is required']],
  ])('%s', async (_title, yaml, expected) => {
    expect(await problemsOf(yaml)).toEqual(expected)
  })
})
