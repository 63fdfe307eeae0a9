// Keys of a connection to PostgreSQL by TLS, wherever one is configured.

import * as z from 'zod'

export const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export type SslMode = (typeof SSL_MODES)[number]

const path = (what: string) => z.string().min(1).optional().describe(what)

export const sslKeys = {
  sslmode: z
    .enum(SSL_MODES)
    .optional()
    .describe('TLS, in the words of `psql`: `prefer` takes it where the server offers it. Default: `prefer`.'),
  sslrootcert: path(
    'PEM file of the authority that signed the server, for `verify-ca` and `verify-full`. Default: those that Node knows.',
  ),
  sslcert: path("PEM file of this client's certificate. Default: none."),
  sslkey: path('PEM file of its key. Default: none.'),
}
