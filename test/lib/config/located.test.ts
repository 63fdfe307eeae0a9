// What a connector has against its own keys once it is made: told with the place in the file, and never with a secret.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import { loadConfig, type PipelineConfig } from '../../../lib/config.ts'
import type { Destination, Run } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import { connectors, inFolder } from '../../support/yaml-config.ts'

const SECRET = 'postgres://loader:hunter22@warehouse'

/** With a destination that objects to its url when it is made, opened or asked. */
async function configOf(
  objects: 'create' | 'open' | 'check' | 'never',
  url = SECRET,
  asCustom: (definition: object) => object = (definition) => definition,
): Promise<PipelineConfig> {
  const object = (when: string, given: string): void => {
    if (when !== objects) return
    const options = { shown: given, hint: 'Write another one.' }
    throw new InvalidKey(inDestination('url'), `${JSON.stringify(given)} (${given}) is odd`, options)
  }
  class Picky {
    readonly #url: string
    constructor(given: string) {
      this.#url = given
      object('create', given)
    }
    async open(): Promise<undefined> {
      object('open', this.#url)
    }
    async check(): Promise<void> {
      object('check', this.#url)
    }
    async close(): Promise<void> {}
  }
  const picky = {
    summary: 'Objects.',
    config: z.strictObject({ url: z.string() }),
    create: ({ url: given }: { url: string }) => new Picky(given) as unknown as Destination,
  }
  const table = { ...connectors, destinations: { picky: async () => ({ default: asCustom(picky) }) } }
  return inFolder(async (folder) => {
    const path = join(folder, 'config.yml')
    const source = 'source: {name: zoo, stream: creatures}'
    await writeFile(path, `name: tiny\n${source}\ndestination:\n  name: picky\n  config: {url: "${url}"}\n`)
    return (await loadConfig(path, ['source', 'destination'], {}, table as never)) as PipelineConfig
  })
}

function made({ destination: { definition, options } }: PipelineConfig): Destination {
  return definition.create(options as never, {} as never)
}

async function caught(work: () => unknown): Promise<BizonError> {
  try {
    await work()
  } catch (error) {
    return error as BizonError
  }
  throw new Error('nothing was thrown')
}

const never = new AbortController().signal

test('what is odd about a key is said with its place, whenever it is found', async () => {
  const whenMade = await caught(async () => made(await configOf('create')))
  const whenOpened = await caught(async () => made(await configOf('open')).open({} as Run, never))
  const whenAsked = await caught(async () => made(await configOf('check')).check?.(never))
  for (const error of [whenMade, whenOpened, whenAsked]) {
    expect(error).toBeInstanceOf(BizonError)
    expect(error).toMatchObject({ code: 'config', hint: 'Write another one.' })
    expect(error.message).toMatch(/config\.yml:5:17 destination\.config\.url: "postgres:.*" \(.*\) is odd$/)
  }
})

test('what a reference stands for is not shown', async () => {
  process.env.ODD_URL = SECRET
  try {
    const { message } = await caught(async () => made(await configOf('create', 'env://ODD_URL')))
    expect(message).toMatch(/config\.yml:5:17 destination\.config\.url: "env:\/\/ODD_URL" \(\*\*\*\) is odd$/)
    expect(message).not.toContain('hunter22')
  } finally {
    delete process.env.ODD_URL
  }
})

test('a definition that is an instance of a class keeps what its class can do', async () => {
  class Custom {
    hashed(): object {
      return { is: 'of the class' }
    }
  }
  const config = await configOf('create', SECRET, (definition) => Object.assign(new Custom(), definition))
  expect(config.destination.definition.hashed?.({} as never)).toEqual({ is: 'of the class' })
  expect((await caught(() => made(config))).message).toMatch(/config\.yml:5:17 destination\.config\.url: /)
})

test.each(['e', 'env', '$&', '$`'])('nor anything of it, and the reference stays as it is: %s', async (value) => {
  process.env.ODD_URL = value
  try {
    const { message } = await caught(async () => made(await configOf('create', '$& ${env://ODD_URL}')))
    expect(message).toMatch(/destination\.config\.url: "\$& \$\{env:\/\/ODD_URL\}" \(\*\*\*\) is odd$/)
  } finally {
    delete process.env.ODD_URL
  }
})

test('the config says so of a key that the engine objects to', async () => {
  const config = await configOf('never')
  expect(made(config)).toBeDefined()
  const at = ['engine', 'queue', 'type']
  expect(config.invalid(at, 'is not a broker').message).toMatch(/config\.yml:1:1 engine\.queue\.type: is not a broker$/)
})
