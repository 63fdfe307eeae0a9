import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { inFolder, load, pipeline, problemsOf } from '../../support/yaml-config.ts'

describe('references', () => {
  const withEnv = async <Result>(variables: Record<string, string>, work: () => Promise<Result>): Promise<Result> => {
    Object.assign(process.env, variables)
    try {
      return await work()
    } finally {
      for (const name of Object.keys(variables)) delete process.env[name]
    }
  }
  const anything = (keys: string) =>
    pipeline({ source: `source:\n  name: anything\n  stream: s\n  ${keys.replaceAll('\n', '\n  ')}\n` })

  test('are resolved before validation, so that text from the environment becomes a number', () =>
    withEnv({ BIZON_TEST_A: '3', BIZON_TEST_B: 'data' }, async () => {
      const yaml = anything('max_iterations: env://BIZON_TEST_A\npath: ["${env://BIZON_TEST_B}/a.csv", BIZON_TEST_B]')
      expect((await load(yaml)).source).toMatchObject({
        maxIterations: 3,
        options: { path: ['data/a.csv', 'BIZON_TEST_B'] },
      })
    }))

  test('may name the connector', () =>
    withEnv({ BIZON_TEST_A: 'anything' }, async () => {
      const yaml = pipeline({ source: 'source: {name: "env://BIZON_TEST_A", stream: s, path: p}\n' })
      expect((await load(yaml)).source.name).toBe('anything')
    }))

  test('are told by name where their value is wrong, and the values are kept for redaction', () =>
    withEnv({ BIZON_TEST_A: 'hunter2', BIZON_TEST_B: 'zoox' }, async () => {
      const yaml = pipeline({
        source: 'source:\n  name: env://BIZON_TEST_B\n  stream: env://BIZON_TEST_A\n',
        destination:
          'destination:\n  name: file\n  config: {format: "env://BIZON_TEST_A", buffer_size: "${env://BIZON_TEST_A}0"}\n',
      })
      expect(await problemsOf(yaml)).toEqual([
        'config.yml:3:9 source.name: there is no source of the name "env://BIZON_TEST_B"',
        'config.yml:7:20 destination.config.format: expected "json", got "env://BIZON_TEST_A"',
        'config.yml:7:55 destination.config.buffer_size: expected an integer of 0 or more, got "${env://BIZON_TEST_A}0"',
      ])
      const stream = pipeline({ source: 'source: {name: zoo, stream: "env://BIZON_TEST_A"}\n' })
      expect(await problemsOf(stream)).toEqual([
        'config.yml:2:29 source.stream: unknown stream "env://BIZON_TEST_A" of zoo',
      ])
      const { secrets } = await load(anything('path: x\npassword: env://BIZON_TEST_A'))
      expect(secrets).toEqual(['hunter2'])
    }))

  test('to a file that is not there are told with both names', async () => {
    expect(await problemsOf(anything('path: x\npassword: file:///run/secrets/no-such'))).toEqual([
      'config.yml:6:13 source.password: cannot read the file "/run/secrets/no-such": no such file',
    ])
  })

  test('come from the file that --env-file names, which must exist', () =>
    inFolder(async (folder) => {
      const envFile = join(folder, 'my.env')
      await expect(load(pipeline(), { overrides: { envFile } })).rejects.toMatchObject({ code: 'config' })
      await writeFile(envFile, 'BIZON_TEST_C=creatures\n')
      const yaml = pipeline({ source: 'source: {name: zoo, stream: "env://BIZON_TEST_C"}\n' })
      expect((await load(yaml, { overrides: { envFile } })).source.stream).toBe('creatures')
    }))

  test('say what to do when a variable is not set', async () => {
    await expect(load(anything('path: env://BIZON_TEST_UNSET'))).rejects.toMatchObject({
      hint: 'set BIZON_TEST_UNSET, or write BIZON_TEST_UNSET=… into the file .env',
    })
  })
})
