import { readFile } from 'node:fs/promises'
import { Kafka, type KafkaConfig, logLevel, type SASLOptions } from 'kafkajs'
import { expect, test } from 'vitest'
import { NIGHTLY } from '../../crash/workspace.ts'
import { consoleConsume, createTopic, produce } from '../kafka.ts'
import { KafkaServer, sharedKafka, USERS } from './kafka.ts'

const address = await sharedKafka()

/** By day the tests of what uses a broker kill theirs. */
async function killAndStart(): Promise<void> {
  const server = await KafkaServer.create()
  const at = server.address
  await createTopic('kept', { partitions: 2, config: { 'cleanup.policy': 'compact' }, at })
  const timestamp = Date.UTC(2026, 0, 2)
  await produce('kept', [{ key: 'a', value: '{"é":1}', headers: { h: 'x:y', n: '' }, partition: 1, timestamp }], { at })
  await produce('kept', [{ key: 'c', value: 'committed', partition: 0 }], { transaction: 'commit', at })
  await produce('kept', [{ key: 'd', value: 'aborted', partition: 0 }], { transaction: 'abort', at })
  await produce('kept', [{ key: 'e', value: null, partition: 0 }], { at })
  await server.kill()
  await server.start()
  expect(server.address).toEqual(at)
  // Not their offsets: the end of a transaction takes one, too, and may come later than who ended it goes on.
  const kept = await consoleConsume('kept', { at })
  expect(kept.map(({ partition, key, value, headers }) => ({ partition, key, value, headers }))).toEqual([
    { partition: 0, key: 'c', value: 'committed', headers: {} },
    { partition: 0, key: 'e', value: null, headers: {} },
    { partition: 1, key: 'a', value: '{"é":1}', headers: { h: 'x:y', n: '' } },
  ])
  const all = await consoleConsume('kept', { at, isolation: 'read_uncommitted' })
  expect(all.map(({ value }) => value)).toEqual(['committed', 'aborted', null, '{"é":1}'])
  expect(all.at(-1)?.timestamp).toBe(timestamp)
  await server.remove()
}
if (NIGHTLY) test('a broker that is killed and started again has its address and data', killAndStart)

const token = (sub: string): string => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  return `${part({ alg: 'none' })}.${part({ sub, iat: now, exp: now + 600 })}.`
}

// Each time anew: the client keeps what it made of one in the object that it was given.
const MECHANISMS: Record<string, (password: string) => SASLOptions> = {
  PLAIN: (password) => ({ mechanism: 'plain', username: 'alice', password }),
  'SCRAM-SHA-256': (password) => ({ mechanism: 'scram-sha-256', username: 'alice', password }),
  'SCRAM-SHA-512': (password) => ({ mechanism: 'scram-sha-512', username: 'alice', password }),
  OAUTHBEARER: (password) => ({
    mechanism: 'oauthbearer',
    oauthBearerProvider: async () => ({ value: password === USERS.alice ? token('alice') : 'no token' }),
  }),
}

test.each(Object.entries(MECHANISMS))('%s lets in who has the password, and nobody else', async (_, sasl) => {
  const ca = await readFile(address.ca, 'utf8')
  const right = (): SASLOptions => sasl(USERS.alice)
  await expect(topics({ brokers: [address.sasl], sasl: right() })).resolves.toBeInstanceOf(Array)
  await expect(topics({ brokers: [address.saslTls], sasl: right(), ssl: { ca } })).resolves.toBeInstanceOf(Array)
  await expect(topics({ brokers: [address.sasl], sasl: sasl('wrong') })).rejects.toThrow(/authentication failed/)
})

test('TLS asks for the certificate of a client', async () => {
  const { tls, ca, cert, key } = address
  const [authority, certificate, secret] = await Promise.all([ca, cert, key].map((path) => readFile(path, 'utf8')))
  const ssl = { ca: authority ?? '', cert: certificate ?? '', key: secret ?? '' }
  await expect(topics({ brokers: [tls], ssl })).resolves.toBeInstanceOf(Array)
  await expect(topics({ brokers: [tls], ssl: { ca: ssl.ca } })).rejects.toThrow()
})

test('who has no rights sees nothing', async () => {
  await createTopic('seen', { at: address })
  const [mine, hers] = await Promise.all(
    Object.entries(USERS).map(([username, password]) =>
      topics({ brokers: [address.sasl], sasl: { mechanism: 'plain', username, password } }),
    ),
  )
  expect(mine).toContain('seen')
  expect(hers).toEqual([])
})

async function topics(config: KafkaConfig): Promise<readonly string[]> {
  const kafka = new Kafka({ ...config, logLevel: logLevel.NOTHING, connectionTimeout: 10_000, retry: { retries: 0 } })
  const admin = kafka.admin()
  try {
    await admin.connect()
    return await admin.listTopics()
  } finally {
    await admin.disconnect()
  }
}
