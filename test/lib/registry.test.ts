import { describe, expect, test } from 'vitest'
import {
  findQueue,
  findStore,
  knownDestination,
  knownSource,
  listDestinations,
  listSources,
} from '../../lib/registry.ts'
import { connectors } from '../support/yaml-config.ts'

describe('a connector is found by its name', () => {
  test('and only then imported', async () => {
    let imported = 0
    const table = {
      ...connectors,
      sources: {
        ...connectors.sources,
        never: async () => {
          imported++
          throw new Error('imported')
        },
      },
    }
    expect((await knownSource('zoo', table)).shape.summary).toBe('Declares its streams.')
    expect(imported).toBe(0)
    await expect(knownSource('never', table)).rejects.toThrow('imported')
  })

  test('lists are in order of names', async () => {
    expect((await listSources(connectors)).map(({ name }) => name)).toEqual(['anything', 'secure', 'zoo'])
    expect((await listDestinations(connectors)).map(({ name }) => name)).toEqual(['file', 'logger'])
  })

  test('the built-in table is used when no other is given', async () => {
    expect((await knownDestination('logger')).shape.summary).toContain('Logs')
  })
})

describe('a name that is not there', () => {
  test.each([
    ['zooo', 'unknown source "zooo"; did you mean "zoo"?'],
    ['mars', 'unknown source "mars"; known: anything, secure, zoo'],
    ['toString', 'unknown source "toString"; known: anything, secure, zoo'],
    ['__proto__', 'unknown source "__proto__"; known: anything, secure, zoo'],
    ['x'.repeat(100), `unknown source "${'x'.repeat(60)}…"; known: anything, secure, zoo`],
  ])('source %s', async (name, message) => {
    await expect(knownSource(name, connectors)).rejects.toMatchObject({ code: 'config', message })
  })

  test('what is not built yet has a shape and a release, and no definition', async () => {
    const source = await knownSource('hubspot', connectors)
    const destination = await knownDestination('bigquery_streaming_v2', connectors)
    for (const found of [source, destination]) expect(found).toMatchObject({ release: '0.5', shape: expect.anything() })
    expect([source.definition, destination.definition]).toEqual([undefined, undefined])
  })

  test('says where to look', async () => {
    await expect(knownSource('mars', connectors)).rejects.toMatchObject({ hint: 'bizon source list' })
    await expect(knownDestination('mars', connectors)).rejects.toMatchObject({ hint: 'bizon destination list' })
  })

  test.each([['fil', 'unknown destination "fil"; did you mean "file"?']])('destination %s', async (name, message) => {
    await expect(knownDestination(name, connectors)).rejects.toMatchObject({ code: 'config', message })
  })

  test('backends and queues say what to use instead', async () => {
    await expect(findStore('bigquery', connectors)).rejects.toThrow(
      'bigquery is not built yet; it comes with bizon 0.5; until then use postgres, sqlite or sqlite_in_memory',
    )
    await expect(
      findQueue('kafka', {
        ...connectors,
        queues: { python_queue: async () => ({ default: never }) },
        planned: { sources: {}, destinations: {}, stores: {}, queues: { kafka: { release: '0.4' } } },
      }),
    ).rejects.toThrow('kafka is not built yet; it comes with bizon 0.4; until then use python_queue')
  })
})

const never = {
  summary: '',
  create: (): never => {
    throw new Error('not created here')
  },
}
