// Properties of librdkafka, which files of the Python bizon use: each is taken over, or refused with what to do instead.

import { InvalidKey } from '../../lib/config/invalid-key.ts'
import type { ConfigPath } from '../../lib/config/problems.ts'
import { suggestion } from '../../lib/suggest.ts'
import type { Mechanism, Protocol, TlsFiles } from './config.ts'

export type Properties = Readonly<Record<string, string | number | boolean>>

/** What was given; the defaults are those of whoever uses it. */
export interface Settings {
  readonly protocol?: Protocol
  readonly mechanism?: Mechanism | undefined
  readonly username?: string
  readonly password?: string
  readonly tls?: Partial<TlsFiles>
  /** Which the config names itself. */
  readonly groupId?: string
  readonly brokers?: string
  readonly clientId?: string
  readonly connectTimeoutMs?: number
  readonly requestTimeoutMs?: number
  readonly metadataMaxAgeMs?: number
  readonly offsetReset?: 'earliest' | 'latest' | 'error'
  readonly isolation?: 'read_committed' | 'read_uncommitted'
  readonly sessionTimeoutMs?: number
  readonly heartbeatIntervalMs?: number
  readonly rebalanceTimeoutMs?: number
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly maxBytesPerPartition?: number
  readonly maxWaitMs?: number
  readonly compression?: 'none' | 'gzip'
  readonly transactionTimeoutMs?: number
  readonly maxMessageBytes?: number
  /** Properties that change nothing here, and why: for a warning. */
  readonly ignored?: readonly string[]
}

export type Side = 'consumer_config' | 'producer_config'

/** Throws an InvalidKey. `at`: where the properties stand in the config. */
export function settingsOf(properties: Properties, at: ConfigPath, side: Side): Settings {
  let settings: Settings = {}
  const others = side === 'consumer_config' ? OF_PRODUCERS : OF_CONSUMERS
  for (const [name, value] of Object.entries(properties)) {
    const property = Object.hasOwn(PROPERTIES, name) ? PROPERTIES[name] : undefined
    if (!property || others.test(name)) {
      const known = Object.keys(PROPERTIES).filter((key) => !others.test(key))
      throw new InvalidKey([...at, name], `unknown property${suggestion(name, known, 'known')}`, {
        part: 'key',
        hint: 'Not all properties of librdkafka have a counterpart here; remove it.',
      })
    }
    const shown = SECRET.test(name) ? '***' : JSON.stringify(value)
    const refuse = (why: string, hint: string): never => {
      throw new InvalidKey([...at, name], `${shown} ${why}`, { hint, shown: String(value) })
    }
    settings = merged(settings, property(value, refuse))
  }
  return settings
}

const OF_CONSUMERS = /^(?:auto|isolation|enable\.auto|session|heartbeat|max\.poll|group|fetch|max\.partition)\./
const OF_PRODUCERS =
  /^(?:acks$|request\.required|compression|enable\.idempotence|transaction|message\.max|max\.request)/

/** Names whose values are not shown. */
const SECRET = /password|secret|token|^sasl\.username$|pem$/

function merged(one: Settings, other: Settings): Settings {
  const tls = { ...one.tls, ...other.tls }
  const ignored = [...(one.ignored ?? []), ...(other.ignored ?? [])]
  return {
    ...one,
    ...other,
    ...(Object.keys(tls).length > 0 && { tls }),
    ...(ignored.length > 0 && { ignored }),
  }
}

type Refuse = (why: string, hint: string) => never
type Property = (value: string | number | boolean, refuse: Refuse) => Settings

const whole =
  (least: number, to: (value: number) => Settings): Property =>
  (value, refuse) => {
    const number = typeof value === 'boolean' ? Number.NaN : Number(value)
    if (!Number.isInteger(number) || number < least || number > 2_147_483_647) {
      refuse('is not a whole number', `Write a whole number from ${least} on.`)
    }
    return to(number)
  }

const words =
  <Value>(known: Readonly<Record<string, Value>>, to: (value: Value) => Settings): Property =>
  (value, refuse) => {
    const word = String(value)
    const found = Object.entries(known).find(([name]) => name.toLowerCase() === word.toLowerCase())
    if (!found) return refuse('is not known', `Write one of ${Object.keys(known).join(', ')}.`)
    return to(found[1])
  }

const said =
  (to: (value: string) => Settings): Property =>
  (value) =>
    to(String(value))

/** Only one value is what happens here. */
const only =
  (right: string, hint: string): Property =>
  (value, refuse) =>
    String(value).toLowerCase() === right ? {} : refuse('is not possible', hint)

const refused =
  (hint: string): Property =>
  (_, refuse) =>
    refuse('has no effect here', hint)

const ignored =
  (why: string): Property =>
  () => ({ ignored: [why] })

const protocol = words<Protocol>(
  { PLAINTEXT: 'PLAINTEXT', SSL: 'SSL', SASL_PLAINTEXT: 'SASL_PLAINTEXT', SASL_SSL: 'SASL_SSL' },
  (protocol) => ({ protocol }),
)
const mechanism = words<Mechanism>(
  {
    PLAIN: 'PLAIN',
    'SCRAM-SHA-256': 'SCRAM-SHA-256',
    'SCRAM-SHA-512': 'SCRAM-SHA-512',
    OAUTHBEARER: 'OAUTHBEARER',
  },
  (mechanism) => ({ mechanism }),
)
const offsetReset = words(
  {
    earliest: 'earliest',
    beginning: 'earliest',
    smallest: 'earliest',
    latest: 'latest',
    end: 'latest',
    largest: 'latest',
    error: 'error',
    none: 'error',
  } as const,
  (offsetReset) => ({ offsetReset }),
)
const compression: Property = (value, refuse) => {
  const word = String(value).toLowerCase()
  if (word === 'none' || word === 'gzip') return { compression: word }
  return refuse('cannot be written', 'Write gzip or none: others are read by no package that is built in.')
}
const acks: Property = (value, refuse) =>
  ['all', '-1'].includes(String(value))
    ? {}
    : refuse('would lose messages', 'Remove it: a message counts once all replicas in sync have it.')

const COMMITS = 'offsets are committed once the destination has what they stand for'
/** What is done anyway, or as others do it. */
const commits =
  (name: string): Property =>
  (value) =>
    String(value).toLowerCase() === 'false' ? {} : { ignored: [`${name} has no effect: ${COMMITS}`] }

const PROPERTIES: Readonly<Record<string, Property>> = {
  'security.protocol': protocol,
  'sasl.mechanism': mechanism,
  'sasl.mechanisms': mechanism,
  'sasl.username': said((username) => ({ username })),
  'sasl.password': said((password) => ({ password })),
  'ssl.ca.location': said((ca) => ({ tls: { ca } })),
  'ssl.certificate.location': said((cert) => ({ tls: { cert } })),
  'ssl.key.location': said((key) => ({ tls: { key } })),
  'ssl.key.password': said((passphrase) => ({ tls: { passphrase } })),
  'ssl.endpoint.identification.algorithm': words({ https: true, none: false, '': false }, (checkHost) => ({
    tls: { checkHost },
  })),
  'enable.ssl.certificate.verification': words({ true: true, false: false }, (verify) => ({ tls: { verify } })),
  'client.id': said((clientId) => ({ clientId })),
  'socket.connection.setup.timeout.ms': whole(1, (connectTimeoutMs) => ({ connectTimeoutMs })),
  'socket.timeout.ms': whole(10, (requestTimeoutMs) => ({ requestTimeoutMs })),
  'request.timeout.ms': whole(1, (requestTimeoutMs) => ({ requestTimeoutMs })),
  'metadata.max.age.ms': whole(1, (metadataMaxAgeMs) => ({ metadataMaxAgeMs })),
  'allow.auto.create.topics': only('false', 'Remove it: a topic that is not there is an error.'),
  'auto.offset.reset': offsetReset,
  'isolation.level': words(
    { read_committed: 'read_committed', read_uncommitted: 'read_uncommitted' } as const,
    (isolation) => ({ isolation }),
  ),
  'enable.auto.commit': commits('enable.auto.commit'),
  'enable.auto.offset.store': commits('enable.auto.offset.store'),
  'auto.commit.interval.ms': commits('auto.commit.interval.ms'),
  'session.timeout.ms': whole(1, (sessionTimeoutMs) => ({ sessionTimeoutMs })),
  'heartbeat.interval.ms': whole(1, (heartbeatIntervalMs) => ({ heartbeatIntervalMs })),
  'max.poll.interval.ms': whole(1, (rebalanceTimeoutMs) => ({ rebalanceTimeoutMs })),
  'group.instance.id': ignored('group.instance.id has no effect: the client knows no static members'),
  'fetch.min.bytes': whole(1, (minBytes) => ({ minBytes })),
  'fetch.max.bytes': whole(1, (maxBytes) => ({ maxBytes })),
  'fetch.message.max.bytes': whole(1, (maxBytesPerPartition) => ({ maxBytesPerPartition })),
  'max.partition.fetch.bytes': whole(1, (maxBytesPerPartition) => ({ maxBytesPerPartition })),
  'fetch.wait.max.ms': whole(0, (maxWaitMs) => ({ maxWaitMs })),
  'bootstrap.servers': said((brokers) => ({ brokers })),
  'metadata.broker.list': said((brokers) => ({ brokers })),
  'group.id': said((groupId) => ({ groupId })),
  acks,
  'request.required.acks': acks,
  'compression.type': compression,
  'compression.codec': compression,
  'enable.idempotence': only('true', 'Remove it: a message is never written twice.'),
  'transactional.id': refused('Remove it: it is made of the names of the pipeline and the stream.'),
  'transaction.timeout.ms': whole(1000, (transactionTimeoutMs) => ({ transactionTimeoutMs })),
  'message.max.bytes': whole(1000, (maxMessageBytes) => ({ maxMessageBytes })),
  'max.request.size': whole(1000, (maxMessageBytes) => ({ maxMessageBytes })),
}
