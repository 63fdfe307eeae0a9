// Where brokers are and how one signs in: the keys that every connector to Kafka has, and what they come to together with
// the settings that a config gives in the words of librdkafka (properties.ts).

import * as z from 'zod'
import { InvalidKey, type InvalidKeyOptions } from '../../lib/config/invalid-key.ts'
import type { ConfigPath } from '../../lib/config/problems.ts'
import { type Properties, type Settings, type Side, settingsOf } from './properties.ts'

export const PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const
export type Protocol = (typeof PROTOCOLS)[number]
export const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const
export type Mechanism = (typeof MECHANISMS)[number]

const text = (what: string) => z.string().min(1).optional().describe(`${what} Default: none.`)

/** Keys of `authentication`; a connector may add its own. */
export const authenticationKeys = {
  type: z
    .enum(['basic', 'oauth', 'none'])
    .default('basic')
    .describe('`basic`: user and password; `oauth`: a token; `none`: nobody signs in. Default basic.'),
  mechanism: z
    .enum(MECHANISMS)
    .optional()
    .describe('How SASL is spoken. Default: PLAIN with `basic`, OAUTHBEARER with `oauth`.'),
  params: z
    .strictObject({
      username: text('`basic`: the user.'),
      password: z
        .string()
        .default('')
        .describe('`basic`: the password; better as a reference, `env://NAME`. Default: empty.'),
      token: text('`oauth`: a token that outlives the run; better as a reference, `env://NAME`.'),
      token_url: z
        .url({ protocol: /^https?$/ })
        .optional()
        .describe('`oauth`: address that gives tokens for a client id and its secret. Default: none.'),
      client_id: text('`oauth`: the client id.'),
      client_secret: text('`oauth`: its secret; better as a reference, `env://NAME`.'),
      scope: text('`oauth`: scopes to ask for, with blanks between.'),
    })
    .optional()
    .describe('Who signs in. Default: nobody.'),
}

const path = (what: string) => z.string().min(1).optional().describe(what)

export const tls = z
  .strictObject({
    ca: path('PEM file of the authority that signed the brokers. Default: those that Node knows.'),
    cert: path("PEM file of this client's certificate. Default: none."),
    key: path('PEM file of its key. Default: none.'),
    passphrase: z.string().optional().describe('Of the key; better as a reference, `env://NAME`. Default: none.'),
    verify: z
      .boolean()
      .default(true)
      .describe('Refuse a broker whose certificate is not from the authority, or for another host. Default true.'),
  })
  .describe('TLS. Default: certificates that Node trusts, where `security_protocol` says TLS.')

export const bootstrapServers = z
  .string()
  .min(1)
  .describe('Brokers: `host:port`, with commas between; the port is 9092 unless it is said. IPv6 as `[::1]:9092`.')

export const securityProtocol = z
  .enum(PROTOCOLS)
  .optional()
  .describe(
    'How brokers are spoken to. Default: SASL_SSL with `authentication`; without it SSL where there is `tls`, else PLAINTEXT.',
  )

/** Settings in the words of librdkafka; what they may be is checked with the rest of the connection. */
export const properties = (what: string) =>
  z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).describe(what)

/** What the keys of a connector come to. */
export interface KafkaConfig {
  readonly bootstrap_servers?: string | undefined
  /** As a queue spells it. */
  readonly bootstrap_server?: string | undefined
  readonly security_protocol?: Protocol | undefined
  readonly authentication?:
    | Pick<z.output<z.ZodObject<typeof authenticationKeys>>, 'type' | 'mechanism' | 'params'>
    | undefined
  readonly tls?: z.output<typeof tls> | undefined
  /** Of whoever has one. */
  readonly group_id?: string | undefined
}

export interface KafkaConnection {
  readonly brokers: readonly string[]
  readonly tls?: TlsFiles
  readonly sasl?: Sasl
  readonly settings: Settings
}

export interface TlsFiles {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly passphrase?: string | undefined
  readonly verify: boolean
  /** Whether the certificate must be for this host. */
  readonly checkHost: boolean
}

export type Sasl =
  | {
      readonly mechanism: Exclude<Mechanism, 'OAUTHBEARER'>
      readonly username: string
      readonly password: string
    }
  | { readonly mechanism: 'OAUTHBEARER'; readonly token: string }
  | {
      readonly mechanism: 'OAUTHBEARER'
      readonly url: string
      readonly clientId: string
      readonly clientSecret: string
      readonly scope?: string | undefined
    }

/** Properties, with the config key that holds them: `['consumer_config', {…}]`. */
export type GivenProperties = readonly [key: Side, Properties]

/** `at`: where the keys stand in the config. Throws an InvalidKey that says what is wrong. */
export function connectionOf(
  config: KafkaConfig,
  at: ConfigPath,
  given: GivenProperties = ['consumer_config', {}],
): KafkaConnection {
  const wrong: Wrong = (key, reason, options) =>
    new InvalidKey([...at, ...(typeof key === 'string' ? [key] : key)], reason, options)
  const { authentication, group_id, bootstrap_server, bootstrap_servers = bootstrap_server ?? '' } = config
  const servers = config.bootstrap_servers === undefined ? 'bootstrap_server' : 'bootstrap_servers'
  const brokers = brokersIn(bootstrap_servers, (...about) => wrong(servers, ...about))
  const [side, properties] = given
  const settings = settingsOf(properties, [...at, side], side)
  const same = <T>(key: Key, own: T | undefined, property: string, value: T | undefined): T | undefined => {
    if (own !== undefined && value !== undefined && own !== value) {
      throw wrong(key, `is ${JSON.stringify(own)}, and ${side} has another ${property}`, {
        hint: 'Remove one of them.',
        shown: String(own),
      })
    }
    return own ?? value
  }
  same('group_id', group_id, 'group.id', settings.groupId)
  if (settings.brokers !== undefined) {
    const property = 'metadata.broker.list' in properties ? 'metadata.broker.list' : 'bootstrap.servers'
    const named = brokersIn(settings.brokers, (...about) => wrong([side, property], ...about)).toSorted()
    if (String(named) !== String(brokers.toSorted())) same(servers, bootstrap_servers, property, settings.brokers)
  }
  const mechanism = same(
    ['authentication', 'mechanism'],
    authentication?.mechanism,
    'sasl.mechanism',
    settings.mechanism,
  )
  // The Python bizon asks for users also where nobody signs in.
  const isOpen = config.security_protocol === undefined && settings.protocol?.startsWith('SASL') === false
  const isIdle = isOpen && (authentication ?? settings.username) !== undefined && authentication?.type !== 'none'
  const sasl = isIdle ? undefined : saslOf(authentication, { ...settings, mechanism, side }, wrong)
  const files = config.tls || settings.tls ? { ...settings.tls, ...definedOf(config.tls ?? {}) } : undefined
  const usual: Protocol = sasl ? 'SASL_SSL' : files ? 'SSL' : 'PLAINTEXT'
  const chosen = same('security_protocol', config.security_protocol, 'security.protocol', settings.protocol)
  const protocol = chosen ?? usual
  const speaksSasl = protocol.startsWith('SASL')
  if (speaksSasl && !sasl) {
    throw wrong('authentication', `is missing: ${protocol} needs it`, {
      hint: 'Add authentication: { params: { username: …, password: env://NAME } }, or set security_protocol to SSL or PLAINTEXT.',
    })
  }
  if (!speaksSasl && sasl) {
    throw wrong('authentication', `has no effect with ${protocol}`, {
      hint: 'Remove it (or set its type to none), or set security_protocol to SASL_SSL or SASL_PLAINTEXT.',
    })
  }
  const isTls = protocol.endsWith('SSL')
  if (!isTls && files) {
    const hint = `Remove it, or set security_protocol to ${speaksSasl ? 'SASL_SSL' : 'SSL'}.`
    throw wrong('tls', `has no effect with ${protocol}`, { hint })
  }
  if (files && (files.cert === undefined) !== (files.key === undefined)) {
    const [there, missing] = files.cert === undefined ? ['key', 'cert'] : ['cert', 'key']
    throw wrong('tls', `has ${there} and no ${missing}: needs both cert and key, or neither`, {
      hint: `Add ${missing}, or remove ${there}.`,
    })
  }
  return {
    brokers,
    settings: isIdle
      ? { ...settings, ignored: [...(settings.ignored ?? []), idleUser(side, settings.protocol)] }
      : settings,
    ...(isTls && { tls: { verify: true, checkHost: true, ...files } }),
    ...(sasl && { sasl }),
  }
}

const idleUser = (side: Side, protocol: Protocol | undefined): string =>
  `nobody signs in to the brokers: ${side} has security.protocol: ${protocol}, and SASL_PLAINTEXT or SASL_SSL would`

type Key = string | readonly string[]
type Wrong = (key: Key, reason: string, options?: InvalidKeyOptions) => InvalidKey

function brokersIn(text: string, wrong: (reason: string, options: InvalidKeyOptions) => InvalidKey): readonly string[] {
  // As of a URL: what stands before it may be a password, with commas in it.
  if (text.includes('@')) {
    throw wrong('names a user beside the brokers', {
      hint: 'Write host:port alone, with commas between; who signs in stands in authentication.',
    })
  }
  const brokers = text
    .split(',')
    .map((broker) => broker.trim())
    .filter(Boolean)
  const bad = brokers.find((broker) => !BROKER.test(broker) || Number(/\]?:(\d+)$/.exec(broker)?.[1] ?? 1) > 65_535)
  if (bad !== undefined) {
    throw wrong(`${JSON.stringify(bad)} is not host:port`, {
      hint: 'Write host:port, with commas between; IPv6 as [::1]:9092.',
      shown: bad,
    })
  }
  if (brokers.length === 0) throw wrong('names no broker', { hint: 'Write host:port, with commas between.' })
  return brokers.map((broker) => (/:\d+$/.test(broker.replace(/^\[.*\]/, '')) ? broker : `${broker}:${USUAL_PORT}`))
}

const USUAL_PORT = 9092
/** A name or an address, of IPv6 in brackets, and perhaps a port. */
const BROKER = /^(?:[^:/;\s[\]]+|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\])(?::\d{1,5})?$/

function saslOf(
  authentication: KafkaConfig['authentication'],
  settings: Pick<Settings, 'mechanism' | 'username' | 'password'> & { readonly side: Side },
  wrong: Wrong,
): Sasl | undefined {
  const { username, password } = settings
  if (!authentication) {
    if (username === undefined) return undefined
    const mechanism = settings.mechanism ?? 'PLAIN'
    if (mechanism === 'OAUTHBEARER') {
      throw wrong('authentication', 'is missing: OAUTHBEARER needs a token', {
        hint: 'Add authentication: { type: oauth, params: { token: env://NAME } }.',
      })
    }
    return { mechanism, username, password: password ?? '' }
  }
  const { type, params: given = { password: '' } } = authentication
  const at = (...keys: string[]): Key => ['authentication', ...keys]
  if (type !== 'basic' && (username !== undefined || password !== undefined)) {
    throw wrong(at('type'), `is ${type}, and sasl.username or sasl.password stands beside it`, {
      hint: 'Remove one of them.',
    })
  }
  const one = (key: 'username' | 'password', own: string | undefined, property: string | undefined) => {
    if (own && property !== undefined && own !== property)
      throw wrong(at('params', key), `is another one than sasl.${key} says`, { hint: 'Remove one of them.' })
    return own || property
  }
  const params = {
    ...given,
    username: one('username', given.username, username),
    password: one('password', given.password, password) ?? '',
  }
  if (type === 'none') return undefined
  const missing = (key: string, what = key): InvalidKey =>
    wrong(at('params', key), `is missing: type ${type} needs ${what === key ? 'it' : what}`, {
      hint: `Add ${key} to authentication.params${type === 'basic' ? ', or set authentication.type to none' : ''}.`,
    })
  if (type === 'basic') {
    const mechanism = settings.mechanism ?? 'PLAIN'
    if (mechanism === 'OAUTHBEARER') {
      throw wrong(at('type'), 'is basic, but OAUTHBEARER takes a token', { hint: 'Set it to oauth.' })
    }
    if (params.username === undefined) throw missing('username')
    return { mechanism, username: params.username, password: params.password }
  }
  const { token, token_url: url, client_id: clientId, client_secret: clientSecret, scope } = params
  if (settings.mechanism !== undefined && settings.mechanism !== 'OAUTHBEARER') {
    const key = authentication.mechanism === undefined ? [settings.side, 'sasl.mechanism'] : at('mechanism')
    throw wrong(key, `is ${settings.mechanism}, which takes no token`, { hint: 'Remove it.' })
  }
  if (token !== undefined) return { mechanism: 'OAUTHBEARER', token }
  if (url === undefined) throw missing('token', 'it, or token_url')
  if (clientId === undefined) throw missing('client_id')
  if (clientSecret === undefined) throw missing('client_secret')
  return { mechanism: 'OAUTHBEARER', url, clientId, clientSecret, scope }
}

/** Without the keys whose value is undefined. */
export const definedOf = <T extends object>(from: T): Partial<{ [Key in keyof T]: NonNullable<T[Key]> }> =>
  Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as Partial<{
    [Key in keyof T]: NonNullable<T[Key]>
  }>
