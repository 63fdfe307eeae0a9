// The keys of a queue of RabbitMQ, and where it is.

import * as z from 'zod'
import type { ChannelContext } from '../../../lib/channel.ts'
import { flag, hostName, port, size, text, unused } from '../../../lib/config/fields.ts'
import { InvalidKey, inQueue } from '../../../lib/config/invalid-key.ts'
import { requirePem } from '../../tls.ts'
import type { Place } from './topology.ts'

const PORT = 5672
const TLS_PORT = 5671
const NAME_BYTES = 240

const path = (what: string) => text(`${what} Default: none.`).optional()

const isShort = (value: string): boolean => Buffer.byteLength(value) <= NAME_BYTES
const TOO_LONG = `is longer than ${NAME_BYTES} bytes`

const queueSchema = z
  .object({
    host: hostName('Host name of a node.'),
    port: port(`Port, of both sides. Default: ${PORT}, with TLS ${TLS_PORT}.`).optional(),
    virtual_host: text('Virtual host. Default: `/`.').default('/'),
    username: text('User. Default: `guest`, who is let in from the same machine alone.').default('guest'),
    password: text('Password; better a reference. Default: `guest`.').default('guest'),
    queue_name: text(
      'Queue, of one stream of one pipeline. It is created, durable and replicated (`quorum`), with four others whose names begin with its own. Default: `bizon`, the name of the pipeline, and the stream, with dots between.',
    )
      .refine(isShort, TOO_LONG)
      .optional(),
    exchange: z
      .string()
      .refine(isShort, TOO_LONG)
      .default('')
      .describe(
        'Exchange that messages are put to, with the name of the queue as their routing key. Where it does not exist it is created (`direct`, durable); the queue is bound to it. Default: the nameless one, which leads to the queue.',
      ),
    ssl: flag('TLS. The certificate of the broker is checked. Default false.'),
    ssl_ca: path('PEM file of the authority that signed the broker, if Node does not know it.'),
    ssl_cert: path("PEM file of this client's certificate."),
    ssl_key: path('PEM file of its key.'),
    message_bytes: size(
      10_000,
      900_000,
      'Most bytes of a message. Pages that are smaller travel together, larger ones are cut. RabbitMQ takes 16 MiB as it comes. Default 900000.',
      16 << 20,
    ),
    linger_ms: size(
      0,
      100,
      'Milliseconds that pages are gathered before they are put as one message. Default 100.',
      60_000,
    ),
  })
  .superRefine(({ ssl, ...keys }, context) => {
    for (const key of ['ssl_ca', 'ssl_cert', 'ssl_key'] as const) {
      if (ssl || keys[key] === undefined) continue
      context.addIssue({ code: 'custom', path: [key], message: 'needs ssl: true' })
    }
    if ((keys.ssl_cert === undefined) !== (keys.ssl_key === undefined)) {
      context.addIssue({ code: 'custom', path: ['ssl_cert'], message: 'ssl_cert and ssl_key go together' })
    }
  })
  .describe('The queue itself.')

export const config = z.object({
  max_nb_messages: size(1, 1_000_000, unused),
  queue: queueSchema,
  consumer: z
    .object({ poll_interval: size(0, 1, unused) })
    .prefault({})
    .describe('Of the side that loads.'),
})

type Keys = z.output<typeof queueSchema>

/** Throws an InvalidKey where a file of certificates cannot be read, or nothing says what the queue is called. */
export function placeOf(keys: Keys, { name }: Pick<ChannelContext, 'name'>): Place {
  const queue = keys.queue_name ?? name
  if (queue === undefined) {
    throw new InvalidKey(inQueue('queue_name'), 'nothing says which stream is loaded', {
      hint: 'Set queue_name, or name the stream: bizon-load FILE --from-queue --stream NAME.',
    })
  }
  const { host, virtual_host: virtualHost, username, password, exchange } = keys
  for (const key of ['ssl_ca', 'ssl_cert', 'ssl_key'] as const) {
    const file = keys[key]
    if (file !== undefined) requirePem(file, inQueue(key))
  }
  const tls = keys.ssl ? { ca: keys.ssl_ca, cert: keys.ssl_cert, key: keys.ssl_key } : undefined
  const port = keys.port ?? (tls ? TLS_PORT : PORT)
  return { queue, exchange, address: { host, port, virtualHost, username, password, tls } }
}
