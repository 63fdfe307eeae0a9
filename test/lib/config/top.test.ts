import { describe, expect, test } from 'vitest'
import { load, pipeline, problemsOf } from '../../support/yaml-config.ts'

describe('each key of the top level is accepted', () => {
  test.each<[string, string, object]>([
    [
      'nulls for blocks',
      pipeline({ rest: 'engine:\ntransforms:\nalerting: null\nmonitoring: ~\nsecrets:\nstreams:\n' }),
      { engine: { checkpointPages: 10 } },
    ],
    ['empty lists', pipeline({ rest: 'transforms: []\nstreams: []\n' }), {}],
  ])('%s', async (_title, yaml, expected) => {
    expect(await load(yaml)).toMatchObject(expected)
  })
})

describe('each key of the top level is checked', () => {
  test.each<[string, string, string[]]>([
    [
      'unknown key at the top',
      pipeline({ rest: 'egnine: {}\n' }),
      ['config.yml:8:1 egnine: unknown key; did you mean "engine"?'],
    ],
    ['alerting', pipeline({ rest: 'alerting: {type: slack}\n' }), ['config.yml:8:1 alerting.config: is required']],
    [
      'monitoring',
      pipeline({ rest: 'monitoring:\n  type: datadog\n' }),
      ['config.yml:8:1 monitoring.config: is required'],
    ],
    ['streams', pipeline({ rest: 'streams:\n- name: a\n' }), ['config.yml:9:3 streams[0].destination: is required']],
    ['streams as text', pipeline({ rest: 'streams: all\n' }), ['config.yml:8:10 streams: expected a list, got "all"']],
    ['no name', pipeline().replace('name: tiny\n', ''), ['config.yml:1:1 name: is required']],
    [
      'name',
      pipeline().replace('tiny', '2024'),
      ['config.yml:1:7 name: expected a string, got 2024; write it in quotes'],
    ],
    ['name empty', pipeline().replace('tiny', '""'), ['config.yml:1:7 name: must not be empty']],
    ['no source', pipeline({ source: '' }), ['config.yml:1:1 source: is required']],
    ['source without a value', pipeline({ source: 'source:\n' }), ['config.yml:2:1 source: is required']],
  ])('%s', async (_title, yaml, expected) => {
    expect(await problemsOf(yaml)).toEqual(expected)
  })

  test('all problems are told at once, in the order of the file', async () => {
    const yaml = [
      'nmae: tiny',
      'source:',
      '  name: zoo',
      '  stream: plnats',
      '  max_iterations: 0',
      'destination:',
      '  name: filee',
      '  config: {}',
      'engine:',
      '  runner: {log_level: env://BIZON_TEST_UNSET}',
    ]
    expect(await problemsOf(yaml.join('\n'))).toEqual([
      'config.yml:1:1 nmae: unknown key; did you mean "name"?',
      'config.yml:1:1 name: is required',
      'config.yml:4:11 source.stream: unknown stream "plnats" of zoo; did you mean "plants"?',
      'config.yml:5:19 source.max_iterations: expected an integer of 1 or more, got 0',
      'config.yml:7:9 destination.name: unknown destination "filee"; did you mean "file"?',
      'config.yml:10:23 engine.runner.log_level: the environment variable BIZON_TEST_UNSET is not set',
    ])
  })
})

describe('parts', () => {
  test('only what is asked for is demanded', async () => {
    expect((await load(pipeline({ destination: '' }), { parts: ['source'] })).destination).toBeUndefined()
    expect((await load(pipeline({ source: '' }), { parts: ['destination'] })).source).toBeUndefined()
    expect(await problemsOf('name: x\n', { parts: ['source', 'destination'] })).toEqual([
      'config.yml:1:1 source: is required',
      'config.yml:1:1 destination: is required',
    ])
  })

  test('what is there is checked although it is not asked for', async () => {
    const yaml = pipeline({ destination: 'destination: {name: filee}\n' })
    expect(await problemsOf(yaml, { parts: ['source'] })).toHaveLength(1)
  })
})
