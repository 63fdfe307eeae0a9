// The keys of the postgres destination, and where its server is: by URL or key by key.

import * as z from 'zod'
import { SSL_MODES, sslKeys } from '../../../lib/config/schema-tls.ts'
import type { DestinationOptions } from '../../../lib/destination.ts'
import { BizonError } from '../../../lib/errors.ts'
import type { Address } from '../../postgres.ts'

const names = (what: string) => z.array(z.string().min(1)).describe(what)

export const config = z.strictObject({
  url: z
    .string()
    .min(1)
    .optional()
    .describe(
      '`postgresql://user:password@host:port/database?sslmode=…`; better as a reference, `env://NAME`. Default: none.',
    )
    .meta({ examples: ['postgresql://loader@127.0.0.1:5432/warehouse'] }),
  host: z.string().min(1).optional().describe('Host name or address. Default: `localhost`.'),
  port: z.number().int().min(1).max(65535).optional().describe('TCP port. Default: 5432.'),
  database: z.string().min(1).optional().describe("Name of the database. Default: the user's name."),
  user: z.string().min(1).optional().describe('Role to connect as. Default: `postgres`.'),
  password: z.string().optional().describe('Password; better as a reference, `env://NAME`. Default: none.'),
  ...sslKeys,
  schema: z.string().min(1).default('public').describe('Schema of the tables.'),
  create_schema: z.boolean().default(false).describe('Create the schema when it is missing. Default false.'),
  metadata: z
    .enum(['bizon', 'none'])
    .default('bizon')
    .describe('`bizon`: id and times of a record in columns of their own. `none`: its data alone.'),
  primary_key: names(
    'Fields by which rows are merged, none of them null: of two rows with one key the newer stays. Default: rows are added.',
  ).default([]),
  cursor_field: z
    .string()
    .min(1)
    .optional()
    .describe('Field that says which of two rows with one key is newer. Default: `source_timestamp`.'),
  replace_strategy: z
    .enum(['rename', 'truncate_insert'])
    .default('rename')
    .describe(
      'How a table is replaced: `rename` puts a new one in its place at once; `truncate_insert` fills the same one, on which views may depend, while readers wait.',
    ),
  on_empty: z
    .enum(['publish', 'keep'])
    .default('publish')
    .describe('A complete extract without rows: `publish` an empty table, or `keep` the rows before.'),
  on_nul: z
    .enum(['fail', 'strip'])
    .default('fail')
    .describe('The character U+0000, which PostgreSQL cannot store: `fail` naming the record, or `strip` it.'),
  lock_timeout: z
    .number()
    .int()
    .min(1)
    .max(86_400)
    .default(60)
    .describe('Seconds that a transaction waits for a lock of somebody else.'),
  reconnect_timeout: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .default(60)
    .describe('Seconds that a run waits for a server that went away meanwhile; 0: it fails at once.'),
})

export type PostgresOptions = z.output<typeof config> & DestinationOptions

/** Keys that change how rows get there, not which. */
export const tuning = [
  'user',
  'password',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'create_schema',
  'replace_strategy',
  'on_empty',
  'lock_timeout',
  'reconnect_timeout',
] as const

const PARTS = ['host', 'port', 'database', 'user', 'password'] as const
const SSL_KEYS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const

export function addressOf(options: PostgresOptions): Address {
  const { url } = options
  if (url === undefined) return address(options)
  const given = PARTS.filter((key) => options[key] !== undefined)
  if (given.length > 0) {
    throw new BizonError('config', `destination.config has both url and ${given.join(', ')}`, {
      hint: 'Give the whole address in url, or its parts without url.',
    })
  }
  return address({ ...partsOf(url), ...definedOf(options, SSL_KEYS) })
}

type Parts = { readonly [key in (typeof PARTS)[number] | (typeof SSL_KEYS)[number]]?: PostgresOptions[key] | undefined }

function address({ host = 'localhost', port = 5432, user = 'postgres', database = user, password, ...ssl }: Parts) {
  const { sslmode: mode = 'prefer', sslrootcert: rootCert, sslcert: cert, sslkey: key } = ssl
  return { host, port, user, database, password, ssl: { mode, rootCert, cert, key } }
}

/** Whatever is wrong with it, it is not shown: a password may be part of it. */
function partsOf(text: string): Parts {
  const wrong = (what: string): BizonError => new BizonError('config', `destination.config.url: ${what}`)
  if (!/^postgres(?:ql)?:\/\//.test(text) || !URL.canParse(text)) {
    throw new BizonError('config', 'destination.config.url is not the URL of a PostgreSQL database', {
      hint: 'It is postgresql://user:password@host:port/database; write % before the code of special characters: @ is %40.',
    })
  }
  const url = new URL(text)
  const options: Record<string, string> = Object.fromEntries(url.searchParams)
  const unknown = Object.keys(options).find((key) => !(SSL_KEYS as readonly string[]).includes(key))
  if (unknown !== undefined) throw wrong(`unknown option ${unknown}; known: ${SSL_KEYS.join(', ')}`)
  const { sslmode } = options
  if (sslmode !== undefined && !(SSL_MODES as readonly string[]).includes(sslmode)) {
    throw wrong(`unknown sslmode; known: ${SSL_MODES.join(', ')}`)
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
