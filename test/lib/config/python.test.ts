// Pipeline files of the Python bizon: what runs there is valid here, but for connectors that are not built yet; what it
// accepted by mistake is rejected with the reason; keys that its own examples have in vain are warnings.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type ConfigOverrides, loadConfig, type PipelineConfig } from '../../../lib/config.ts'
import { BizonError } from '../../../lib/errors.ts'
import { EVERY_BLOCK, SMALLEST } from '../../support/python-examples.ts'
import { inFolder } from '../../support/yaml-config.ts'

/** With the connectors that there are. References are not looked up: three asterisks stand for each. */
async function outcome(yaml: string, overrides: ConfigOverrides = {}) {
  return inFolder(async (folder) => {
    const path = join(folder, 'p.yml')
    await writeFile(path, yaml)
    const clean = (line: string) => line.replace(`${folder}/`, '')
    try {
      const config: PipelineConfig = await loadConfig(path, ['source', 'destination'], { replay: 'x', ...overrides })
      return { config, problems: [], warnings: config.warnings.map(clean) }
    } catch (error) {
      if (!(error instanceof BizonError) || error.code !== 'config') throw error
      return { problems: error.message.split('\n').map(clean), warnings: [] }
    }
  })
}

describe('the examples', () => {
  test('the smallest is valid', async () => {
    expect(await outcome(SMALLEST)).toMatchObject({
      problems: [],
      warnings: [],
      config: { name: 'tiny', source: { name: 'pokeapi', stream: 'berry' }, destination: { name: 'logger' } },
    })
  })

  test('of the one with every block only connectors are missing', async () => {
    expect((await outcome(EVERY_BLOCK)).problems).toEqual([
      'p.yml:24:9 destination.name: bigquery_streaming_v2 is not built yet; it comes with bizon 0.5',
    ])
  })

  test('and with connectors that are there nothing is', async () => {
    const connected = EVERY_BLOCK.replace(
      /^source:\n(?:.+\n)+/m,
      'source: {name: dummy, stream: plants, sync_mode: stream}\n',
    ).replace(/^destination:\n(?:.+\n)+/m, 'destination: {name: file, config: {unnest: true}}\n')
    const { config, problems, warnings } = await outcome(connected)
    expect(problems).toEqual([])
    expect(warnings).toEqual([
      expect.stringMatching(/^p\.yml:\d+:1 alerting: this version sends no alerts$/),
      expect.stringMatching(/^p\.yml:\d+:1 monitoring: this version sends no metrics$/),
    ])
    expect(config?.engine.runner).toEqual({ type: 'stream', logLevel: 'DEBUG' })
    expect(config?.engine.backend).toMatchObject({ type: 'postgres', server: { host: 'state.shop.example' } })
    expect(config?.destination.options.recordSchemas.map((list) => list.destinationId)).toEqual([
      'shop-prod.raw.orders',
      'shop-prod.raw.refunds',
    ])
  })
})

const pipeline = (blocks: Record<string, string>): string => {
  const all = { name: 'tiny', source: '{name: dummy, stream: plants}', destination: '{name: logger, config: {}}' }
  return Object.entries({ ...all, ...blocks })
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('')
}

describe('what was accepted by mistake is rejected:', () => {
  const streamed = '{name: dummy, stream: plants, sync_mode: stream}'
  test.each<[string, Record<string, string>, string[]]>([
    [
      'an unknown key of source',
      { source: '{name: dummy, stream: plants, sync_mod: stream}' },
      ['source.sync_mod: unknown key; did you mean "sync_mode"?'],
    ],
    [
      'of engine.backend',
      { engine: '{backend: {type: sqlite, echo: yes}}' },
      ['engine.backend.echo: unknown key; known keys: config, type'],
    ],
    [
      'of engine.runner',
      { engine: '{runner: {typ: thread}}' },
      ['engine.runner.typ: unknown key; did you mean "type"?'],
    ],
    [
      'of authentication',
      { source: '{name: file, stream: s, path: x, authentication: {type: bearer, param: {token: x}}}' },
      ['source.authentication.params: is required', 'source.authentication.param: unknown key; did you mean "params"?'],
    ],
    [
      'of transforms',
      { transforms: '[{label: a, python: "x = 1", pyhton: x}]' },
      ['transforms[0].pyhton: unknown key; did you mean "python"?'],
    ],
    [
      'of alerting',
      { alerting: '{type: slack, level: ERROR, config: {webhook_url: x}}' },
      ['alerting.level: unknown key; known keys: config, log_levels, type'],
    ],
    [
      'params of another type',
      { source: '{name: file, stream: s, path: x, authentication: {type: bearer, params: {username: u}}}' },
      [
        'source.authentication.params: type bearer needs token; these are the params of type basic',
        'source.authentication.params.username: unknown key; known keys: auth_header, auth_method, token',
      ],
    ],
    ['monitoring without config', { monitoring: '{type: datadog}' }, ['monitoring.config: is required']],
    [
      'monitoring without a host',
      { monitoring: '{type: datadog, config: {}}' },
      ['monitoring.config: needs datadog_agent_host, or datadog_host_env_var'],
    ],
    [
      'a size below zero',
      { destination: '{name: logger, config: {buffer_size: -1}}' },
      ['destination.config.buffer_size: expected an integer of 0 or more, got -1'],
    ],
    [
      'an interval of zero',
      { engine: '{backend: {type: sqlite, config: {syncCursorInDBEvery: 0}}}' },
      ['engine.backend.config.syncCursorInDBEvery: expected an integer of 1 or more, got 0'],
    ],
    [
      'a limit of zero',
      { source: '{name: dummy, stream: plants, max_iterations: 0}' },
      ['source.max_iterations: expected an integer of 1 or more, got 0'],
    ],
    [
      'a runner that does not fit streams',
      { source: streamed, streams: '[{name: a, destination: {table_id: a}}]', engine: '{runner: {type: thread}}' },
      ['engine.runner.type: there are streams, which need the runner stream; write stream, or leave it out'],
    ],
    [
      'a stream without columns beside unnest',
      {
        source: streamed,
        destination: '{name: file, config: {unnest: yes}}',
        streams: '[{name: a, destination: {table_id: a}}]',
      },
      ['streams[0].destination.record_schema: is required, since destination.config.unnest is true'],
    ],
    [
      'incremental where the source cannot',
      { source: '{name: dummy, stream: plants, sync_mode: incremental}' },
      ['source.sync_mode: stream "plants" cannot be read incrementally; of dummy these can: generator'],
    ],
    [
      'a reset of what can only add',
      {
        source: '{name: dummy, stream: generator, sync_mode: incremental, reset: on}',
        destination: '{name: bigquery_streaming, config: {project_id: p, dataset_id: d}}',
      },
      [
        'source.reset: destination "bigquery_streaming" can only add rows',
        'destination.name: bigquery_streaming is not built yet; it comes with bizon 0.5',
      ],
    ],
  ])('%s', async (_title, blocks, expected) => {
    const { problems } = await outcome(pipeline(blocks))
    expect(problems.map((line) => line.replace(/^p\.yml:\d+:\d+ /, ''))).toEqual(expected)
  })

  test.each(['transforms', 'engine', 'alerting', 'monitoring', 'secrets', 'streams'])(
    'but %s: null is as if it were not there',
    async (block) => {
      expect(await outcome(pipeline({ [block]: '' }))).toMatchObject({ problems: [], warnings: [] })
    },
  )

  test('and a file without destination_id is named after its stream', async () => {
    const { config } = await outcome(pipeline({ destination: '{name: file, config: {}}' }))
    expect(config?.destination.options.destinationId).toBe('{stream}')
  })
})

describe('a key that its examples have in vain is a warning:', () => {
  test.each<[string, Record<string, string>, string[]]>([
    [
      'backend and pipeline',
      { backend: '{type: sqlite}', pipeline: '{x: 1}' },
      ['backend: has no effect; it belongs under "engine"', 'pipeline: has no effect; leave it out'],
    ],
    [
      'an interval beside the type',
      { engine: '{backend: {type: sqlite, syncCursorInDBEvery: 2}}' },
      ['engine.backend.syncCursorInDBEvery: has no effect; it belongs under "config"'],
    ],
    ['backend without config', { engine: '{backend: {type: sqlite}}' }, []],
    ['destination without config', { destination: '{name: file}' }, []],
    ['authentication without params', { source: '{name: dummy, stream: plants, authentication: {type: api_key}}' }, []],
    [
      'filepath and record_schema of a file',
      { destination: '{name: file, config: {filepath: out.json, record_schema: [{name: a, type: string}]}}' },
      [
        'destination.config.filepath: has no effect; use destination_id',
        'destination.config.record_schema: has no effect; use record_schemas',
      ],
    ],
  ])('%s', async (_title, blocks, expected) => {
    const { problems, warnings } = await outcome(pipeline(blocks))
    expect(problems).toEqual([])
    expect(warnings.map((line) => line.replace(/^p\.yml:\d+:\d+ /, ''))).toEqual(expected)
  })

  test.each([
    [
      'bigquery',
      'source: {name: kafka, stream: topic, bootstrap_servers: "b:9092", topics: [{name: a, destination_id: a}], authentication: {params: {username: u}}, topic: a, nb_bytes_schema_id: 4, timestamp_ms_name: t}',
      'destination: {name: bigquery, buffer_size: 400, config: {project_id: p, dataset_id: d, gcs_buffer_bucket: b, table_id: t, record_schema: [], service_account_key: k}}',
    ],
  ])('those of %s are no errors', async (name, source, destination) => {
    const { problems } = await outcome(`name: tiny\n${source}\n${destination}\n`)
    expect(problems).toEqual([expect.stringContaining(`${name} is not built yet`)])
  })
})
