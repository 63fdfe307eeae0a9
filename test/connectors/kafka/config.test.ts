import { expect, test } from 'vitest'
import * as z from 'zod'
import {
  authenticationKeys,
  bootstrapServers,
  connectionOf,
  type GivenProperties,
  type KafkaConnection,
  securityProtocol,
  tls,
} from '../../../connectors/kafka/config.ts'
import type { Properties } from '../../../connectors/kafka/properties.ts'

const config = z.strictObject({
  bootstrap_servers: bootstrapServers,
  security_protocol: securityProtocol,
  authentication: z.strictObject(authenticationKeys).optional(),
  tls: tls.optional(),
  group_id: z.string().optional(),
})

function connection(keys: object, given?: GivenProperties): KafkaConnection {
  return connectionOf(config.parse({ bootstrap_servers: 'a:9092', ...keys }), ['source', 'config'], given)
}
const settingsOf = (properties: Properties): KafkaConnection['settings'] =>
  connection({}, ['consumer_config', properties]).settings

const basic = { params: { username: 'u', password: 'p' } }
const plain = { mechanism: 'PLAIN', username: 'u', password: 'p' }
const verified = { verify: true, checkHost: true }

test.each<[string, object, Properties, object]>([
  ['nothing else: as it comes', {}, {}, { brokers: ['a:9092'], settings: {} }],
  ['hosts without a port', { bootstrap_servers: 'a, b:1' }, {}, { brokers: ['a:9092', 'b:1'] }],
  ['IPv6', { bootstrap_servers: '[::1]:9093,[fe80::1%eth0]' }, {}, { brokers: ['[::1]:9093', '[fe80::1%eth0]:9092'] }],
  [
    'what a file for the Python bizon says twice',
    { authentication: basic, group_id: 'g' },
    {
      'sasl.username': 'u',
      'sasl.password': 'p',
      'sasl.mechanisms': 'PLAIN',
      'group.id': 'g',
      'bootstrap.servers': 'a',
    },
    { sasl: plain, tls: verified },
  ],
  [
    'a user by a property alone',
    { authentication: { params: {} } },
    { 'sasl.username': 'u' },
    { sasl: { ...plain, password: '' }, tls: verified },
  ],
  [
    'brokers for which nobody signs in',
    { authentication: basic },
    { 'security.protocol': 'PLAINTEXT' },
    {
      settings: {
        ignored: [
          'nobody signs in to the brokers: consumer_config has security.protocol: PLAINTEXT, and SASL_PLAINTEXT or SASL_SSL would',
        ],
      },
    },
  ],
  ['several brokers', { bootstrap_servers: ' a:1, b:2 ,' }, {}, { brokers: ['a:1', 'b:2'] }],
  ['authentication as the Python bizon has it', { authentication: basic }, {}, { sasl: plain, tls: verified }],
  ['of type none', { authentication: { type: 'none' } }, {}, { brokers: ['a:9092'] }],
  ['SASL without TLS', { authentication: basic, security_protocol: 'SASL_PLAINTEXT' }, {}, { sasl: plain }],
  [
    'the same by a property',
    { authentication: basic },
    { 'security.protocol': 'sasl_plaintext', 'sasl.mechanism': 'SCRAM-SHA-512' },
    { sasl: { ...plain, mechanism: 'SCRAM-SHA-512' } },
  ],
  ['a user by properties', {}, { 'sasl.username': 'u', 'sasl.password': 'p' }, { sasl: plain, tls: verified }],
  ['TLS alone', { tls: { ca: 'ca.pem' } }, {}, { tls: { ...verified, ca: 'ca.pem' } }],
  ['TLS with all defaults', { security_protocol: 'SSL' }, {}, { tls: verified }],
  [
    'files by properties',
    {},
    { 'ssl.ca.location': 'c', 'ssl.certificate.location': 'x', 'ssl.key.location': 'k', 'ssl.key.password': 'w' },
    { tls: { ...verified, ca: 'c', cert: 'x', key: 'k', passphrase: 'w' } },
  ],
  [
    'another host than the certificate says',
    {},
    { 'security.protocol': 'SSL', 'ssl.endpoint.identification.algorithm': 'none' },
    { tls: { verify: true, checkHost: false } },
  ],
  [
    'a token',
    { authentication: { type: 'oauth', params: { token: 't' } } },
    {},
    { sasl: { mechanism: 'OAUTHBEARER', token: 't' }, tls: verified },
  ],
  [
    'a token from an address',
    {
      authentication: {
        type: 'oauth',
        params: { token_url: 'https://id.example/t', client_id: 'i', client_secret: 's', scope: 'x y' },
      },
    },
    {},
    { sasl: { url: 'https://id.example/t', clientId: 'i', clientSecret: 's', scope: 'x y' }, tls: verified },
  ],
])('a connection: %s', (_, keys, properties, expected) => {
  const made = connection(keys, ['consumer_config', properties])
  expect(made).toMatchObject(expected)
  for (const key of ['tls', 'sasl']) expect(Object.hasOwn(made, key)).toBe(Object.hasOwn(expected, key))
})

test('the defaults of the Python bizon, written out, mean the same', () => {
  const properties = {
    'auto.offset.reset': 'earliest',
    'enable.auto.commit': false,
    'session.timeout.ms': 45000,
    'max.poll.interval.ms': '600000',
    'security.protocol': 'SASL_SSL',
    'group.instance.id': 'bizon-host',
  }
  expect(connection({ authentication: basic }, ['consumer_config', properties])).toEqual({
    brokers: ['a:9092'],
    sasl: plain,
    tls: verified,
    settings: {
      offsetReset: 'earliest',
      sessionTimeoutMs: 45000,
      rebalanceTimeoutMs: 600000,
      protocol: 'SASL_SSL',
      ignored: ['group.instance.id has no effect: the client knows no static members'],
    },
  })
})

test.each<[string, string | number | boolean, object]>([
  ['auto.offset.reset', 'smallest', { offsetReset: 'earliest' }],
  ['auto.offset.reset', 'latest', { offsetReset: 'latest' }],
  ['auto.offset.reset', 'none', { offsetReset: 'error' }],
  ['client.id', 'me', { clientId: 'me' }],
  ['heartbeat.interval.ms', '3000', { heartbeatIntervalMs: 3000 }],
  ['fetch.min.bytes', 1, { minBytes: 1 }],
  ['fetch.wait.max.ms', 0, { maxWaitMs: 0 }],
  ['max.partition.fetch.bytes', 1048576, { maxBytesPerPartition: 1048576 }],
  ['fetch.max.bytes', 52428800, { maxBytes: 52428800 }],
  ['isolation.level', 'read_uncommitted', { isolation: 'read_uncommitted' }],
  ['enable.auto.commit', 'false', {}],
])('the property %s: %s', (name, value, expected) => {
  expect(settingsOf({ [name]: value })).toEqual(expected)
})

const AT = 'source.config.consumer_config'

test.each<[string, string | number | boolean]>([
  ['enable.auto.commit', true],
  ['enable.auto.offset.store', 'true'],
  ['auto.commit.interval.ms', 5000],
])('the property %s: %s changes nothing, which is told', (name, value) => {
  const what = 'offsets are committed once the destination has what they stand for'
  expect(settingsOf({ [name]: value })).toEqual({ ignored: [`${name} has no effect: ${what}`] })
})

test.each<[string, string | number | boolean, string, RegExp]>([
  ['session.timeout.ms', 'soon', `${AT}."session.timeout.ms": "soon" is not a whole number`, /whole number/],
  ['session.timeout.ms', true, `${AT}."session.timeout.ms": true is not a whole number`, /whole number/],
  ['auto.offset.reset', 'first', `${AT}."auto.offset.reset": "first" is not known`, /earliest, beginning/],
  ['allow.auto.create.topics', true, `${AT}."allow.auto.create.topics": true is not possible`, /an error/],
  ['auto.ofset.reset', 'x', `${AT}."auto.ofset.reset": unknown property; did you mean "auto.offset.reset"?`, /./],
  ['acks', 0, `${AT}.acks: unknown property`, /./],
])('the property %s: %s is refused', (name, value, message, hint) => {
  const error = caught(() => settingsOf({ [name]: value }))
  expect(error).toMatchObject({ code: 'config', hint: expect.stringMatching(hint) })
  expect(error.message).toContain(message)
})

test.each<[string, string | number | boolean, RegExp]>([
  ['acks', 1, /acks: 1 would lose messages/],
  ['compression.type', 'zstd', /"compression.type": "zstd" cannot be written/],
  ['enable.idempotence', false, /"enable.idempotence": false is not possible/],
  ['transactional.id', 't', /"transactional.id": "t" has no effect/],
  ['fetch.min.bytes', 1, /"fetch.min.bytes": unknown property/],
])('the property %s: %s of a producer is refused', (name, value, message) => {
  expect(() => connection({}, ['producer_config', { [name]: value }])).toThrow(message)
})

test('the properties of a producer', () => {
  const properties = {
    acks: 'all',
    'compression.type': 'gzip',
    'transaction.timeout.ms': 9000,
    'max.request.size': 2e6,
  }
  expect(connection({}, ['producer_config', properties]).settings).toEqual({
    compression: 'gzip',
    transactionTimeoutMs: 9000,
    maxMessageBytes: 2e6,
  })
})

test.each<[string, object, Properties, string]>([
  ['IPv6 without brackets', { bootstrap_servers: '::1' }, {}, 'bootstrap_servers: "::1" is not host:port'],
  ['a port above all', { bootstrap_servers: 'a:99999' }, {}, 'bootstrap_servers: "a:99999" is not host:port'],
  ['no commas', { bootstrap_servers: 'a:1;b:2' }, {}, 'bootstrap_servers: "a:1;b:2" is not host:port'],
  ['a URL', { bootstrap_servers: 'kafka://a:1' }, {}, 'bootstrap_servers: "kafka://a:1" is not host:port'],
  ['no broker', { bootstrap_servers: ' , ' }, {}, 'bootstrap_servers: names no broker'],
  ['nobody signs in', { security_protocol: 'SASL_SSL' }, {}, 'authentication: is missing: SASL_SSL needs it'],
  ['in vain', { authentication: basic, security_protocol: 'SSL' }, {}, 'authentication: has no effect with SSL'],
  ['TLS in vain', { tls: {}, security_protocol: 'PLAINTEXT' }, {}, 'tls: has no effect with PLAINTEXT'],
  ['half a certificate', { tls: { cert: 'c' } }, {}, 'tls: has cert and no key: needs both cert and key, or neither'],
  ['no user', { authentication: { params: {} } }, {}, 'authentication.params.username: is missing'],
  [
    'no token',
    { authentication: { type: 'oauth', params: {} } },
    {},
    'authentication.params.token: is missing: type oauth needs it, or token_url',
  ],
  [
    'two protocols',
    { security_protocol: 'SSL' },
    { 'security.protocol': 'PLAINTEXT' },
    'security_protocol: is "SSL", and consumer_config has another security.protocol',
  ],
  [
    'two users',
    { authentication: basic },
    { 'sasl.username': 'other' },
    'authentication.params.username: is another one than sasl.username says',
  ],
  [
    'two passwords',
    { authentication: basic },
    { 'sasl.username': 'u', 'sasl.password': 'other' },
    'authentication.params.password: is another one than sasl.password says',
  ],
  [
    'a user beside a token',
    { authentication: { type: 'oauth', params: { token: 't' } } },
    { 'sasl.username': 'u' },
    'authentication.type: is oauth, and sasl.username or sasl.password stands beside it',
  ],
  [
    'two groups',
    { group_id: 'mine' },
    { 'group.id': 'other' },
    'group_id: is "mine", and consumer_config has another group.id',
  ],
  [
    'two clusters',
    {},
    { 'bootstrap.servers': 'b:9092' },
    'bootstrap_servers: is "a:9092", and consumer_config has another bootstrap.servers',
  ],
  [
    'a password for a token',
    { authentication: { ...basic, mechanism: 'OAUTHBEARER' } },
    {},
    'authentication.type: is basic, but OAUTHBEARER takes a token',
  ],
])('a connection is refused: %s', (_, keys, properties, message) => {
  const error = caught(() => connection(keys, ['consumer_config', properties]))
  expect(error).toMatchObject({ code: 'config' })
  expect(error.message).toContain(`source.config.${message}`)
})

test('a secret is not shown where its property is refused', () => {
  const error = caught(() =>
    connection({}, ['consumer_config', { 'ssl.key.pem': 'hidden', 'sasl.password': 'hidden' }]),
  )
  expect(`${error.message} ${String((error as { hint?: string }).hint)}`).not.toContain('hidden')
})

test.each([
  ['the key', { bootstrap_servers: 'kafka://u:hunter22@a:9092' }, {}],
  ['a password with a comma', { bootstrap_servers: 'b:9092,kafka://u:hunter22,x@a:9092' }, {}],
  ['the key of a queue', { bootstrap_server: 'kafka://u:hunter22@a' }, {}],
  ['a property', { bootstrap_servers: 'a' }, { 'bootstrap.servers': 'kafka://u:hunter22@a:9092' }],
  ['its other name', { bootstrap_servers: 'a' }, { 'metadata.broker.list': 'u:hunter22@a' }],
])('an address with a password is not shown: %s', (_, keys, properties) => {
  const { message } = caught(() => connectionOf(keys, ['source'], ['consumer_config', properties]))
  expect(message).toMatch(/names a user beside the brokers$/)
})

test('what a property says beside a key, which may be secret, is not shown', () => {
  const error = caught(() => connection({ group_id: 'mine' }, ['consumer_config', { 'group.id': 'zzz' }]))
  expect(error.message).not.toContain('zzz')
})

function caught(work: () => unknown): Error {
  try {
    work()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}
