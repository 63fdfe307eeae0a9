// Every key there is has a value that is accepted and one that is rejected, and a test fails for a key that has none.

import { describe, expect, test } from 'vitest'
import { planned } from '../../../connectors/index.ts'
import {
  destinationConfigSchema,
  destinationSchema,
  engineSchemaWith,
  pipelineSchema,
  sourceSchema,
} from '../../../lib/config/schema.ts'
import { leavesAt } from '../../../lib/config/zod.ts'
import { brokerConfigs } from '../../../lib/registry.ts'
import {
  type KeyGroup,
  keyPaths,
  saidAbout,
  undescribed,
  valueAtPath,
  withValue,
  wordsOf,
} from '../../support/key-cases.ts'
import { authentication } from '../config-keys/authentication.ts'
import { common } from '../config-keys/common.ts'
import { engine } from '../config-keys/engine.ts'
import { later } from '../config-keys/planned.ts'
import { transforms } from '../config-keys/transforms.ts'

const engineSchema = engineSchemaWith(await brokerConfigs())
const groups: readonly KeyGroup[] = [...common, ...authentication, ...engine, ...transforms, ...later]

const placeOf = ({ at }: KeyGroup, key: string): string =>
  at === '' || key.startsWith('[') ? `${at}${key}` : `${at}.${key}`

/** What is wrong at a place, or further down. */
const told = (place: string, said: string): string =>
  `${place.replaceAll('[]', '[0]')}${/^[.[]/.test(said) ? '' : ': '}${said}`

describe.each(groups)('$title:', (group) => {
  const cases = Object.entries(group.keys)

  test('the config around the keys is valid', async () => {
    expect(await saidAbout({ ...group.base })).toEqual([])
  })

  test.each(cases)('%s is accepted', async (key, [accepted]) => {
    expect(await saidAbout(withValue(group.base, placeOf(group, key), accepted))).toEqual([])
  })

  test.each(cases)('%s is rejected', async (key, [, rejected, said]) => {
    const place = placeOf(group, key)
    expect(await saidAbout(withValue(group.base, place, rejected))).toEqual([told(place, said)])
  })

  test('no key of the schema is left out', () => {
    const isElsewhere = (key: string) => group.elsewhere?.some((prefix) => key.startsWith(prefix))
    const all = keyPaths(group.schema, valueAtPath(group.base, group.at)).filter((key) => !isElsewhere(key))
    expect(Object.keys(group.keys).sort()).toEqual(all)
  })
})

describe('no block is left out:', () => {
  /** The schemas of a whole config, at their places. */
  const blocks = {
    '': pipelineSchema.omit({ source: true, destination: true, engine: true }),
    source: sourceSchema,
    destination: destinationSchema,
    'destination.config': destinationConfigSchema,
    engine: engineSchema,
  }

  test.each(Object.entries(blocks))('every key of %j is in some group', (at, schema) => {
    const known = new Set(groups.flatMap((group) => Object.keys(group.keys).map((key) => placeOf(group, key))))
    const all = keyPaths(schema, undefined).map((key) => (at === '' ? key : `${at}.${key}`))
    expect(all.filter((key) => !known.has(key))).toEqual([])
  })

  test.each([
    ['source.authentication.type', sourceSchema, ['authentication', 'type']],
    ['engine.backend.type', engineSchema, ['backend', 'type']],
    ['engine.queue.type', engineSchema, ['queue', 'type']],
  ])('every %s has its group', (place, schema, path) => {
    const types = wordsOf(leavesAt([schema], path))
    const grouped = new Set(groups.map(({ base }) => valueAtPath(base, place)))
    expect(types.length).toBeGreaterThan(2)
    expect(types.filter((type) => !grouped.has(type))).toEqual([])
  })

  test('every connector that is not built yet has its group', () => {
    const titles = groups.map(({ title }) => title)
    const names = [
      ...Object.keys(planned.sources).map((name) => `source ${name}`),
      ...Object.keys(planned.destinations).map((name) => `destination ${name}`),
    ]
    expect(names.filter((name) => !titles.includes(name))).toEqual([])
  })

  test('every key says what it is for', () => {
    const silent = groups.flatMap(({ title, schema, base, at }) =>
      undescribed(schema, valueAtPath(base, at)).map((key) => `${title}: ${key}`),
    )
    expect(silent).toEqual([])
  })
})
