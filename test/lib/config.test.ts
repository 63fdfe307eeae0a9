import { describe, expect, test } from 'vitest'
import { type ConfigOverrides, loadConfig } from '../../lib/config.ts'
import { connectors, load, pipeline, problemsOf } from '../support/yaml-config.ts'

describe('the smallest pipeline', () => {
  test('has every default', async () => {
    const { path, name, source, destination, engine, secrets } = await load(pipeline())
    expect(path).toMatch(/config\.yml$/)
    expect({ name, secrets }).toEqual({ name: 'tiny', secrets: [] })
    expect(source).toEqual({
      name: 'zoo',
      stream: 'creatures',
      mode: 'full_refresh',
      forceIgnoreCheckpoint: false,
      reset: false,
      definition: source.definition,
      options: { sleep: 0 },
    })
    expect(source.definition.summary).toBe('Declares its streams.')
    expect(destination).toEqual({
      name: 'logger',
      alias: 'logger',
      definition: destination.definition,
      options: { destinationId: '{stream}', unnest: false, recordSchemas: [] },
      bufferBytes: 50 * 1024 * 1024,
      flushTimeoutSeconds: 600,
    })
    expect(engine).toMatchObject({
      backend: { type: 'sqlite', database: 'bizon', schema: 'NOT_USED_IN_SQLITE', echo: false },
      checkpointPages: 10,
      queue: { type: 'python_queue', maxPages: 0 },
      runner: { type: 'thread', logLevel: 'INFO' },
    })
  })

  test('is frozen', async () => {
    const config = await load(pipeline())
    expect([config, config.source, config.destination.options, config.engine.backend].every(Object.isFrozen)).toBe(true)
    expect(Object.isFrozen(config.source.definition)).toBe(false)
  })
})

describe('the command line', () => {
  const yaml = pipeline({ source: 'source: {name: zoo, stream: plants, sync_mode: incremental, reset: false}\n' })

  test('wins over the file where it says something, and only there', async () => {
    const overrides = { runner: 'stream', logLevel: 'DEBUG', reset: true, stream: 'plants' }
    expect(await load(yaml, { overrides })).toMatchObject({
      source: { reset: true, stream: 'plants' },
      engine: { runner: { type: 'stream', logLevel: 'DEBUG' } },
    })
    const file = `${yaml}engine:\n  runner: {type: stream, log_level: ERROR}\n`
    expect((await load(file)).engine.runner).toEqual({ type: 'stream', logLevel: 'ERROR' })
    expect((await load(file, { overrides: { logLevel: 'INFO' } })).engine.runner).toEqual({
      type: 'stream',
      logLevel: 'INFO',
    })
  })

  test.each<[ConfigOverrides, string]>([
    [
      { runner: 'threads' },
      '--runner engine.runner.type: expected one of thread, process, stream, got "threads"; did you mean "thread"?',
    ],
    [
      { logLevel: 'loud' },
      '--log-level engine.runner.log_level: expected one of TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL, got "loud"',
    ],
    [{ stream: 'stones' }, '--stream source.stream: unknown stream "stones" of zoo; streams: creatures, plants'],
    [{ customSource: 'missing.mjs' }, '--custom-source source.source_file_path: missing.mjs: no such file'],
    [
      { customDestination: 'missing.mjs' },
      '--custom-destination destination.destination_file_path: missing.mjs: no such file',
    ],
  ])('%j is named where it is wrong', async (overrides, expected) => {
    expect(await problemsOf(yaml, { overrides })).toEqual([expected])
  })

  test('does not hide that a block has the wrong shape', async () => {
    const broken = pipeline({ source: 'source: []\n', rest: 'engine: 1\n' })
    expect(await problemsOf(broken, { overrides: { reset: true, runner: 'stream' } })).toEqual([
      'config.yml:2:9 source: expected a mapping, got a list',
      'config.yml:6:9 engine: expected a mapping, got 1',
    ])
  })
})

describe('a config that is an object', () => {
  const mapping = { name: 'x', source: { name: 'zoo', stream: 'plants' }, destination: { name: 'file', config: {} } }

  test('goes through the same validation, and is not changed', async () => {
    const given = { ...structuredClone(mapping), engine: undefined }
    const config = await loadConfig(given, ['source', 'destination'], { reset: true }, connectors)
    expect(config).toMatchObject({ path: '<config>', source: { stream: 'plants', reset: true } })
    expect(given).toEqual({ ...mapping, engine: undefined })
    expect(Object.isFrozen(given.source)).toBe(false)
  })

  test('has problems without lines', async () => {
    const broken = { ...mapping, source: { name: 'zoo', stream: 'plants', reset: 5 }, destination: { name: 'filee' } }
    await expect(loadConfig(broken, ['source'], {}, connectors)).rejects.toMatchObject({
      message:
        '<config> source.reset: expected true or false, got 5\n' +
        '<config> destination.name: unknown destination "filee"; did you mean "file"?',
    })
  })

  test.each([[[]], [null], [new Map()], [5]])('%j is refused', async (input) => {
    await expect(loadConfig(input as never, ['source'], {}, connectors)).rejects.toThrow('<config>: expected a mapping')
  })

  test('once loaded is passed through, and still asked for its parts', async () => {
    const config = await loadConfig(mapping, ['source'], {}, connectors)
    expect(await loadConfig(config, ['source', 'destination'], { reset: true })).toBe(config)
    const half = await loadConfig({ name: 'x', source: mapping.source }, ['source'], {}, connectors)
    await expect(loadConfig(half as never, ['destination'])).rejects.toThrow('<config> destination: is required')
  })
})
