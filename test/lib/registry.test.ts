import { describe, expect, test } from 'vitest'
import { findDestination, findQueue, findSource, findStore, listDestinations, listSources } from '../../lib/registry.ts'
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
    expect((await findSource('zoo', table)).summary).toBe('Declares its streams.')
    expect(imported).toBe(0)
    await expect(findSource('never', table)).rejects.toThrow('imported')
  })

  test('lists are in order of names', async () => {
    expect((await listSources(connectors)).map(({ name }) => name)).toEqual(['anything', 'secure', 'zoo'])
    expect((await listDestinations(connectors)).map(({ name }) => name)).toEqual(['file', 'logger'])
  })

  test('the built-in table is used when no other is given', async () => {
    expect((await findDestination('logger')).summary).toContain('Logs')
  })
})

describe('a name that is not there', () => {
  test.each([
    ['zooo', 'unknown source "zooo"; did you mean "zoo"?'],
    ['mars', 'unknown source "mars"; known: anything, secure, zoo'],
    ['hubspot', 'hubspot is not built yet; it comes with bizon 0.5'],
    ['toString', 'unknown source "toString"; known: anything, secure, zoo'],
    ['__proto__', 'unknown source "__proto__"; known: anything, secure, zoo'],
    ['x'.repeat(100), `unknown source "${'x'.repeat(60)}…"; known: anything, secure, zoo`],
  ])('source %s', async (name, message) => {
    await expect(findSource(name, connectors)).rejects.toMatchObject({ code: 'config', message })
  })

  test('says where to look', async () => {
    await expect(findSource('mars', connectors)).rejects.toMatchObject({ hint: 'bizon source list' })
    await expect(findDestination('mars', connectors)).rejects.toMatchObject({ hint: 'bizon destination list' })
  })

  test.each([
    ['bigquery', 'bigquery is not built yet; it comes with bizon 0.5'],
    ['bigquery_streaming_v2', 'bigquery_streaming_v2 is not built yet; it comes with bizon 0.5'],
    ['fil', 'unknown destination "fil"; did you mean "file"?'],
  ])('destination %s', async (name, message) => {
    await expect(findDestination(name, connectors)).rejects.toMatchObject({ code: 'config', message })
  })

  test('backends and queues say what to use instead', async () => {
    await expect(findStore('postgres', connectors)).rejects.toThrow(
      'postgres is not built yet; it comes with bizon 0.3; until then use sqlite or sqlite_in_memory',
    )
    await expect(
      findQueue('kafka', { ...connectors, queues: { python_queue: async () => ({ default: never }) } }),
    ).rejects.toThrow('kafka is not built yet; it comes with bizon 0.4; until then use python_queue')
  })
})

const never = {
  summary: '',
  create: (): never => {
    throw new Error('not created here')
  },
}
