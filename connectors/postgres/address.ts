// Where a PostgreSQL server is, by URL or key by key: the keys that every connector to one has.

import * as z from 'zod'
import { hostName } from '../../lib/config/fields.ts'
import { InvalidKey } from '../../lib/config/invalid-key.ts'
import type { ConfigPath } from '../../lib/config/problems.ts'
import { SSL_MODES, sslKeys } from '../../lib/config/schema-tls.ts'
import type { Address } from '../postgres.ts'

export type { Address }

export const addressKeys = {
  url: z
    .string()
    .min(1)
    .optional()
    .describe(
      '`postgresql://user:password@host:port/database?sslmode=…`; better as a reference, `env://NAME`. Default: none.',
    )
    .meta({ examples: ['postgresql://loader@127.0.0.1:5432/warehouse'] }),
  host: hostName('Host name or address. Default: `localhost`.').optional(),
  port: z.number().int().min(1).max(65535).optional().describe('TCP port. Default: 5432.'),
  database: z.string().min(1).optional().describe("Name of the database. Default: the user's name."),
  user: z.string().min(1).optional().describe('Role to connect as. Default: `postgres`.'),
  password: z.string().optional().describe('Password; better as a reference, `env://NAME`. Default: none.'),
  ...sslKeys,
}

type AddressOptions = z.output<z.ZodObject<typeof addressKeys>>

/** Keys that change how the server is reached, not which one it is. */
export const reachKeys = ['user', 'password', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const

const PARTS = ['host', 'port', 'database', 'user', 'password'] as const
const SSL_KEYS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const

/** `at`: where the keys stand in the config. */
export function addressIn(options: AddressOptions, at: ConfigPath): Address {
  const { url } = options
  if (url === undefined) return address(options)
  const given = PARTS.filter((key) => options[key] !== undefined)
  if (given.length > 0) {
    throw new InvalidKey([...at, 'url'], `stands beside ${given.join(', ')}`, {
      hint: 'Give the whole address in url, or its parts without url.',
    })
  }
  return address({ ...partsOf(url, at), ...definedOf(options, SSL_KEYS) })
}

type Parts = { readonly [key in (typeof PARTS)[number] | (typeof SSL_KEYS)[number]]?: AddressOptions[key] | undefined }

function address({ host = 'localhost', port = 5432, user = 'postgres', database = user, password, ...ssl }: Parts) {
  const { sslmode: mode = 'prefer', sslrootcert: rootCert, sslcert: cert, sslkey: key } = ssl
  return { host, port, user, database, password, ssl: { mode, rootCert, cert, key } }
}

/** Whatever is wrong with it, it is not shown: a password may be part of it. */
function partsOf(text: string, at: ConfigPath): Parts {
  const wrong = (what: string, hint: string): InvalidKey => new InvalidKey([...at, 'url'], what, { hint })
  // A password with a slash, or the like, ends where the host should begin.
  if (!/^postgres(?:ql)?:\/\/[^/?#]*(?:[/?][^@#]*)?$/.test(text) || !URL.canParse(text)) {
    throw wrong(
      'is not the URL of a PostgreSQL database',
      'It is postgresql://user:password@host:port/database; write % before the code of special characters: @ is %40, / is %2F.',
    )
  }
  const url = new URL(text)
  const options: Record<string, string> = Object.fromEntries(url.searchParams)
  const unknown = Object.keys(options).find((key) => !(SSL_KEYS as readonly string[]).includes(key))
  if (unknown !== undefined)
    throw wrong('has an option that is unknown', `Behind the ? may be ${SSL_KEYS.join(', ')}; remove others.`)
  const { sslmode } = options
  if (sslmode !== undefined && !(SSL_MODES as readonly string[]).includes(sslmode)) {
    throw wrong('has an unknown sslmode', `Choose one of ${SSL_MODES.join(', ')}.`)
  }
  return definedOf(
    {
      ...options,
      host: decoded(url.hostname.replace(/^\[|\]$/g, '')),
      ...(url.port !== '' && { port: Number(url.port) }),
      user: decoded(url.username),
      password: decoded(url.password),
      database: decoded(url.pathname.slice(1)),
    } as Parts,
    [...PARTS, ...SSL_KEYS],
  )
}

/** As it is when it holds no escapes, as the password `100%`. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function definedOf<Key extends keyof Parts>(from: Parts, keys: readonly Key[]): Parts {
  return Object.fromEntries(
    keys.flatMap((key) => (from[key] === undefined || from[key] === '' ? [] : [[key, from[key]]])),
  )
}
