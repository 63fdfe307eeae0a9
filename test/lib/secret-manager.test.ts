import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Problems } from '../../lib/problems.ts'
import { type Environment, resolveReferences } from '../../lib/references.ts'
import { createSecretManager } from '../../lib/secret-manager.ts'
import { inFolder } from '../support/yaml-config.ts'

const { privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
})

/** What a service account's key file holds; its token is signed here, so that nobody is asked for one. */
const key = {
  type: 'service_account',
  project_id: 'of-the-key',
  private_key_id: '1',
  private_key: privateKey,
  client_email: 'loader@of-the-key.example',
  client_id: '1',
  token_uri: 'https://oauth2.example/token',
}

const SECRETS: Readonly<Record<string, string | Buffer>> = {
  'projects/of-the-key/secrets/db/versions/latest': 'latest ü\n',
  'projects/of-the-key/secrets/db/versions/4': 'the fourth',
  'projects/other/secrets/db/versions/latest': 'of another project',
  'projects/chosen/secrets/db/versions/latest': 'of the chosen project',
  'projects/of-the-key/secrets/binary/versions/latest': Buffer.from([0xff, 0xfe]),
  'projects/of-the-key/secrets/empty/versions/latest': '',
}

/** Stands in for Secret Manager, as its REST interface answers. */
let server: Server
let endpoint: string
let asked: { path: string; token: string }[]
let failures: number

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '', 'http://x').pathname).replace(/^\/v1\//, '')
    asked.push({ path, token: request.headers.authorization ?? '' })
    const answer = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    const name = path.replace(/:access$/, '')
    if (failures-- > 0) return answer(503, { error: { code: 503, message: 'come back later', status: 'UNAVAILABLE' } })
    if (name.includes('/forbidden/')) {
      const message = "Permission 'secretmanager.versions.access' denied on resource (or it may not exist)."
      return answer(403, { error: { code: 403, message, status: 'PERMISSION_DENIED' } })
    }
    const secret = SECRETS[name]
    if (secret === undefined) {
      return answer(404, { error: { code: 404, message: `Secret [${name}] not found.`, status: 'NOT_FOUND' } })
    }
    return answer(200, { name, payload: { data: Buffer.from(secret).toString('base64') } })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  asked = []
  failures = 0
})

async function resolve(config: Record<string, unknown>, more: Environment = {}) {
  return inFolder(async (folder) => {
    const keyFile = join(folder, 'key.json')
    await writeFile(keyFile, JSON.stringify(key))
    const problems = new Problems('<config>', () => undefined)
    const environment = { GOOGLE_APPLICATION_CREDENTIALS: keyFile, ...more }
    const { gsm = {} } = config
    const all = { ...config, secrets: { gsm: { endpoint, ...(gsm as object) } }, gsm: undefined }
    const { value, secrets, occurrences } = await resolveReferences(all, problems, async () => environment)
    return { value: value as Record<string, unknown>, secrets, problem: occurrences.find((one) => one.problem) }
  })
}

describe('gsm://', () => {
  test.each([
    ['gsm://db', 'latest ü\n'],
    ['  gsm://db ', 'latest ü\n'],
    ['<${gsm://db/versions/4}>', '<the fourth>'],
    ['gsm://db/versions/latest', 'latest ü\n'],
    ['gsm://projects/other/secrets/db/versions/latest', 'of another project'],
    ['gsm://empty', ''],
  ])('%j is looked up as it says, and nothing is trimmed', async (text, expected) => {
    const { value, problem } = await resolve({ password: text })
    expect(problem).toBeUndefined()
    expect(value.password).toBe(expected)
    expect(asked.every(({ token }) => token.startsWith('Bearer '))).toBe(true)
  })

  test('the project is that of secrets.gsm.project_id, which may be a reference itself', async () => {
    const given = { password: 'gsm://db', gsm: { project_id: '${env://WHICH}' } }
    expect((await resolve(given, { WHICH: 'chosen' })).value.password).toBe('of the chosen project')
  })

  test('the same secret is fetched once, however often it is named', async () => {
    const { value, secrets } = await resolve({ a: 'gsm://db', b: ['${gsm://db}', 'gsm://db/versions/4'] })
    expect(value).toMatchObject({ a: 'latest ü\n', b: ['latest ü\n', 'the fourth'] })
    expect(asked).toHaveLength(2)
    expect(secrets).toEqual(expect.arrayContaining(['latest ü\n', 'the fourth']))
  })

  test.each([
    ['gsm://nope', /^gsm:\/\/nope: there is no such secret or version/, 'gcloud secrets list'],
    ['gsm://forbidden', /^gsm:\/\/forbidden: access denied \(Permission/, /secretAccessor/],
    ['gsm://binary', /^gsm:\/\/binary is not UTF-8 text/, undefined],
    ['gsm://a/b', /does not name a secret/, /gsm:\/\/ID/],
    ['gsm://projects/x', /does not name a secret/, /a full name is/],
  ])('%s says why it cannot be had, and what to do', async (text, problem, hint) => {
    const { value, problem: found } = await resolve({ password: text })
    expect(value.password).toBe(text)
    expect(found?.problem).toMatch(problem)
    if (hint === undefined) expect(found?.hint).toBeUndefined()
    else expect(found?.hint).toMatch(hint)
  })

  test('a failure that passes is tried again', async () => {
    failures = 2
    expect((await resolve({ password: 'gsm://db' })).value.password).toBe('latest ü\n')
  })

  test('without credentials the error says how to get some', async () => {
    const { problem } = await resolve({ password: 'gsm://db' }, { GOOGLE_APPLICATION_CREDENTIALS: '/no/such/key.json' })
    expect(problem?.problem).toMatch(/no Google credentials/)
    expect(problem?.hint).toMatch(/gcloud auth application-default login/)
    expect(asked).toEqual([])
  })

  test('in the block that says how it is read, a secret cannot come from there', async () => {
    const { problem } = await resolve({ password: 'gsm://db', gsm: { project_id: 'gsm://db' } })
    expect(problem?.problem).toMatch(/cannot stand in secrets/)
  })

  test.each(['http://secrets.example', 'ftp://127.0.0.1', 'https://a.example/path'])(
    'the endpoint %s is refused before a token goes there',
    async (given) => {
      const { problem } = await resolve({ password: 'gsm://db', gsm: { endpoint: given } })
      expect(problem?.problem).toMatch(/secrets.gsm.endpoint .* is not a host/)
    },
  )

  test('a service that does not answer is given up after the time limit', async () => {
    const silent = createServer(() => {})
    await new Promise<void>((listening) => silent.listen(0, '127.0.0.1', listening))
    const { port } = silent.address() as AddressInfo
    await inFolder(async (folder) => {
      const keyFile = join(folder, 'key.json')
      await writeFile(keyFile, JSON.stringify(key))
      const manager = createSecretManager({ endpoint: `http://127.0.0.1:${port}`, keyFile, timeoutSeconds: 0.5 })
      await expect(manager.read('db')).rejects.toMatchObject({
        code: 'config',
        message: expect.stringMatching(/gsm:\/\/db: /),
      })
      await manager.close()
    })
    silent.closeAllConnections()
    silent.close()
  })
})
