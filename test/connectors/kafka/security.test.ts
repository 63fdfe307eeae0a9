import { createServer } from 'node:net'
import { beforeAll, expect, test } from 'vitest'
import { connectionOf, type KafkaConfig } from '../../../connectors/kafka/config.ts'
import { connectKafka } from '../../../connectors/kafka.ts'
import { never } from '../../../lib/wait.ts'
import { freshTopic } from '../../support/kafka.ts'
import { withClient } from '../../support/kafka-client.ts'
import { type KafkaAddress, sharedKafka, USERS } from '../../support/services/kafka.ts'

let at: KafkaAddress
let topic: string
beforeAll(async () => {
  at = await sharedKafka()
  topic = await freshTopic()
})

const asAlice = (
  mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512',
  password: string = USERS.alice,
): KafkaConfig => ({
  bootstrap_servers: at.sasl,
  security_protocol: 'SASL_PLAINTEXT',
  authentication: { type: 'basic', mechanism, params: { username: 'alice', password } },
})

test.each(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const)(
  '%s: the right password, and a wrong one',
  async (mechanism) => {
    expect(await withClient((client) => client.partitions(topic), asAlice(mechanism))).toEqual([0])
    const refused = withClient((client) => client.partitions(topic), asAlice(mechanism, 'not-her-secret'))
    await expect(refused).rejects.toMatchObject({
      code: 'source',
      retriable: false,
      message: `Kafka at ${at.sasl}: user alice was refused by ${mechanism}: wrong password, or none`,
    })
    const error = await refused.catch((thrown: unknown) => thrown)
    expect(JSON.stringify([error, String((error as Error).stack)])).not.toContain('not-her-secret')
  },
)

test('below TLS, by the authority that is named, and by no other', async () => {
  const config = { ...asAlice('PLAIN'), bootstrap_servers: at.saslTls, security_protocol: undefined }
  const trusted = { ...config, tls: { ca: at.ca, verify: true } }
  expect(await withClient((client) => client.partitions(topic), trusted)).toEqual([0])
  await expect(withClient((client) => client.partitions(topic), config)).rejects.toMatchObject({
    message: expect.stringContaining('its certificate is not trusted'),
    hint: 'Set tls.ca to the certificate of its authority.',
  })
  const careless = { ...config, tls: { verify: false } }
  expect(await withClient((client) => client.partitions(topic), careless)).toEqual([0])
})

test('by a certificate', async () => {
  const config = { bootstrap_servers: at.tls, tls: { ca: at.ca, cert: at.cert, key: at.key, verify: true } }
  expect(await withClient((client) => client.partitions(topic), config)).toEqual([0])
  const missing = { ...config, tls: { ...config.tls, key: '/nowhere/client.key' } }
  await expect(withClient((client) => client.partitions(topic), missing)).rejects.toThrow(
    'cannot read /nowhere/client.key',
  )
})

test('a token, as it is given or from an address that gives some', async () => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  const token = `${part({ alg: 'none' })}.${part({ sub: 'alice', iat: now, exp: now + 600 })}.`
  const config = { bootstrap_servers: at.sasl, security_protocol: 'SASL_PLAINTEXT' as const }
  const given = { ...config, authentication: { type: 'oauth' as const, params: { password: '', token } } }
  expect(await withClient((client) => client.partitions(topic), given)).toEqual([0])
  const bad = { ...config, authentication: { type: 'oauth' as const, params: { password: '', token: 'hidden-token' } } }
  await expect(withClient((client) => client.partitions(topic), bad)).rejects.toThrow('the token was refused')
  const asked: string[] = []
  await withAnswers(
    (request) => {
      asked.push(request)
      return JSON.stringify({ access_token: token, expires_in: 600 })
    },
    async (url) => {
      const params = { password: '', token_url: url, client_id: 'us', client_secret: 'our-secret', scope: 'k' }
      const fetched = { ...config, authentication: { type: 'oauth' as const, params } }
      expect(await withClient((client) => client.partitions(topic), fetched)).toEqual([0])
    },
  )
  expect(asked).toHaveLength(1)
  expect(asked[0]).toContain('grant_type=client_credentials&client_id=us&client_secret=our-secret&scope=k')
})

test('who has no rights is told which', async () => {
  const mallory: KafkaConfig = {
    ...asAlice('PLAIN'),
    authentication: { type: 'basic', params: { username: 'mallory', password: USERS.mallory } },
  }
  await withClient(async (client) => {
    await expect(client.partitions(topic)).rejects.toMatchObject({
      message: expect.stringContaining(`user mallory may not use topic ${topic}`),
      hint: expect.stringContaining('ACL'),
      retriable: false,
    })
    await expect(client.producer({ transactionalId: 'hers' }, never)).rejects.toThrow(
      'user mallory may not use the transactional id hers',
    )
    await expect(client.createTopic('hers')).rejects.toThrow('user mallory may not')
    await expect(client.committed('hers', [topic])).rejects.toThrow('user mallory may not use group hers')
  }, mallory)
})

test('a broker that cannot be reached is told, and so is one that says nothing', async () => {
  await expect(withClient(async () => {}, { bootstrap_servers: '127.0.0.1:1,127.0.0.1:2' })).rejects.toMatchObject({
    message: expect.stringMatching(/^Kafka at 127\.0\.0\.1:1,127\.0\.0\.1:2: cannot be reached: .*ECONNREFUSED/),
    retriable: true,
  })
  const noTls = { bootstrap_servers: at.plain, security_protocol: 'SSL' as const }
  await expect(withClient(async () => {}, noTls)).rejects.toThrow(
    /Kafka at .*(does not speak TLS|cannot be reached|no answer)/,
  )
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const address = silent.address() as { port: number }
  const bootstrap = { bootstrap_servers: `127.0.0.1:${address.port}` }
  await expect(
    withClient(async () => {}, bootstrap, [
      'consumer_config',
      { 'socket.connection.setup.timeout.ms': 300, 'request.timeout.ms': 300 },
    ]),
  ).rejects.toThrow(/Kafka at .*(cannot be reached|no answer)/)
  silent.close()
})

test('a connection is given up with the reason of the signal', async () => {
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as { port: number }
  const reason = new Error('enough')
  const connection = connectionOf({ bootstrap_servers: `127.0.0.1:${port}` }, ['config'])
  await expect(connectKafka(connection, { code: 'source' }, AbortSignal.abort(reason))).rejects.toBe(reason)
  const control = new AbortController()
  const opening = connectKafka(connection, { code: 'source' }, control.signal)
  setTimeout(() => control.abort(reason), 50)
  await expect(opening).rejects.toBe(reason)
  silent.close()
})

/** An address that answers every POST. */
async function withAnswers(answer: (request: string) => string, work: (url: string) => Promise<void>): Promise<void> {
  const { createServer } = await import('node:http')
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    request.on('end', () => response.setHeader('content-type', 'application/json').end(answer(body)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await work(`http://127.0.0.1:${(server.address() as { port: number }).port}/token`)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}
