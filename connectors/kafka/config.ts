// Where brokers are and how one signs in: the keys that every connector to Kafka has, and what they come to together with
// the settings that a config gives in the words of librdkafka (properties.ts).

import * as z from 'zod'
import { BizonError } from '../../lib/errors.ts'
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
  readonly bootstrap_servers: string
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

/** `at`: where the keys stand in the config. Throws a BizonError of code `config` that names what is wrong. */
export function connectionOf(
  config: KafkaConfig,
  at: string,
  given: GivenProperties = ['consumer_config', {}],
): KafkaConnection {
  const wrong = (what: string, hint?: string): BizonError => new BizonError('config', `${at}.${what}`, { hint })
  const brokers = brokersIn(config.bootstrap_servers, wrong)
  const settings = settingsOf(given[1], `${at}.${given[0]}`, given[0])
  const same = <T>(key: string, own: T | undefined, property: string, value: T | undefined): T | undefined => {
    if (own !== undefined && value !== undefined && own !== value) {
      throw wrong(`${key} is ${String(own)}, but ${given[0]} has ${property}: ${String(value)}`, 'Remove one of them.')
    }
    return own ?? value
  }
  const { authentication, group_id } = config
  same('group_id', group_id, 'group.id', settings.groupId)
  if (settings.brokers !== undefined) {
    const named = brokersIn(settings.brokers, wrong).toSorted()
    if (String(named) !== String(brokers.toSorted()))
      same('bootstrap_servers', config.bootstrap_servers, 'bootstrap.servers', settings.brokers)
  }
  const mechanism = same('authentication.mechanism', authentication?.mechanism, 'sasl.mechanism', settings.mechanism)
  // The Python bizon asks for users also where nobody signs in.
  const isOpen = config.security_protocol === undefined && settings.protocol?.startsWith('SASL') === false
  const isIdle = isOpen && (authentication ?? settings.username) !== undefined && authentication?.type !== 'none'
  const sasl = isIdle ? undefined : saslOf(authentication, { ...settings, mechanism }, wrong)
  const files = config.tls || settings.tls ? { ...settings.tls, ...definedOf(config.tls ?? {}) } : undefined
  const usual: Protocol = sasl ? 'SASL_SSL' : files ? 'SSL' : 'PLAINTEXT'
  const chosen = same('security_protocol', config.security_protocol, 'security.protocol', settings.protocol)
  const protocol = chosen ?? usual
  const speaksSasl = protocol.startsWith('SASL')
  if (speaksSasl && !sasl) throw wrong(`authentication is missing: ${protocol} needs it`)
  if (!speaksSasl && sasl) {
    throw wrong(
      `authentication has no effect with ${protocol}`,
      `Remove it (or set its type to none), or set security_protocol to SASL_SSL or SASL_PLAINTEXT.`,
    )
  }
  const isTls = protocol.endsWith('SSL')
  if (!isTls && files) throw wrong(`tls has no effect with ${protocol}`, 'Remove it, or set security_protocol to SSL.')
  if (files && (files.cert === undefined) !== (files.key === undefined)) {
    throw wrong(`tls needs both cert and key, or neither`)
  }
  return {
    brokers,
    settings: isIdle
      ? { ...settings, ignored: [...(settings.ignored ?? []), idleUser(given[0], settings.protocol)] }
      : settings,
    ...(isTls && { tls: { verify: true, checkHost: true, ...files } }),
    ...(sasl && { sasl }),
  }
}

const idleUser = (side: Side, protocol: Protocol | undefined): string =>
  `nobody signs in to the brokers: ${side} has security.protocol: ${protocol}, and SASL_PLAINTEXT or SASL_SSL would`

type Wrong = (what: string, hint?: string) => BizonError

function brokersIn(text: string, wrong: Wrong): readonly string[] {
  const brokers = text
    .split(',')
    .map((broker) => broker.trim())
    .filter(Boolean)
  const bad = brokers.find((broker) => !BROKER.test(broker))
  if (bad !== undefined) {
    throw wrong(
      `bootstrap_servers: ${JSON.stringify(bad)} is not host:port`,
      'Write host:port, with commas between; IPv6 as [::1]:9092.',
    )
  }
  if (brokers.length === 0) throw wrong('bootstrap_servers names no broker', 'Write host:port, with commas between.')
  return brokers.map((broker) => (/:\d+$/.test(broker.replace(/^\[.*\]/, '')) ? broker : `${broker}:${USUAL_PORT}`))
}

const USUAL_PORT = 9092
/** A name or an address, of IPv6 in brackets, and perhaps a port. */
const BROKER = /^(?:[^:/\s[\]]+|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\])(?::\d{1,5})?$/

function saslOf(
  authentication: KafkaConfig['authentication'],
  settings: Pick<Settings, 'mechanism' | 'username' | 'password'>,
  wrong: Wrong,
): Sasl | undefined {
  const { username, password } = settings
  if (!authentication) {
    if (username === undefined) return undefined
    const mechanism = settings.mechanism ?? 'PLAIN'
    if (mechanism === 'OAUTHBEARER') throw wrong('authentication is missing: OAUTHBEARER needs a token')
    return { mechanism, username, password: password ?? '' }
  }
  const { type, params: given = { password: '' } } = authentication
  if (type !== 'basic' && (username !== undefined || password !== undefined)) {
    throw wrong(
      `authentication.type is ${type}, and sasl.username or sasl.password stands beside it`,
      'Remove one of them.',
    )
  }
  const one = (key: 'username' | 'password', own: string | undefined, property: string | undefined) => {
    if (own && property !== undefined && own !== property)
      throw wrong(`authentication.params.${key} is another one than sasl.${key} says`, 'Remove one of them.')
    return own || property
  }
  const params = {
    ...given,
    username: one('username', given.username, username),
    password: one('password', given.password, password) ?? '',
  }
  if (type === 'none') return undefined
  const missing = (key: string): BizonError => wrong(`authentication.params.${key} is missing: type ${type} needs it`)
  if (type === 'basic') {
    const mechanism = settings.mechanism ?? 'PLAIN'
    if (mechanism === 'OAUTHBEARER')
      throw wrong('authentication.type is basic, but OAUTHBEARER takes a token', 'Set it to oauth.')
    if (params.username === undefined) throw missing('username')
    return { mechanism, username: params.username, password: params.password }
  }
  const { token, token_url: url, client_id: clientId, client_secret: clientSecret, scope } = params
  if (settings.mechanism !== undefined && settings.mechanism !== 'OAUTHBEARER') {
    throw wrong(`authentication.mechanism is ${settings.mechanism}, which takes no token`, 'Remove it.')
  }
  if (token !== undefined) return { mechanism: 'OAUTHBEARER', token }
  if (url === undefined) throw missing('token (or token_url)')
  if (clientId === undefined) throw missing('client_id')
  if (clientSecret === undefined) throw missing('client_secret')
  return { mechanism: 'OAUTHBEARER', url, clientId, clientSecret, scope }
}

/** Without the keys whose value is undefined. */
export const definedOf = <T extends object>(from: T): Partial<{ [Key in keyof T]: NonNullable<T[Key]> }> =>
  Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as Partial<{
    [Key in keyof T]: NonNullable<T[Key]>
  }>
