// What undici and the system throw, as a TransportError: which kind it is, in words for people.

import { STATUS_CODES } from 'node:http'
import { messageOf, systemCode } from '../errors.ts'
import { TransportError, type TransportReason, type TransportSettings } from './transport.ts'

/** `sent`: whether the request went out, so that the server may have seen it. */
export function transportError(error: Error, sent: boolean, settings: TransportSettings): TransportError {
  const of = (reason: TransportReason, message: string, limit?: string): TransportError =>
    new TransportError(reason, message, { sent, cause: error, ...(limit !== undefined && { limit }) })
  const code = systemCode(error) ?? ''
  const timeout = TIMEOUTS[code]
  if (timeout) return of('timeout', timeout.message(settings), timeout.key)
  const proxy = /^Proxy (?:response|Authentication Required) \((\d+)\)/.exec(messageOf(error))
  if (proxy) return of('proxy', `the proxy answered ${proxy[1]} ${STATUS_CODES[Number(proxy[1])] ?? ''}`.trim())
  if (code === 'ENOTFOUND') return of('unknown_host', `no such host (${messageOf(error)})`)
  if (code.startsWith('HPE_')) return of('protocol', `the answer is not HTTP (${messageOf(error)})`)
  if (isTls(code)) return of('tls', `no trusted TLS connection (${messageOf(error)})`)
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') {
    return of('truncated', 'the answer ended before its end')
  }
  if (code.startsWith('UND_ERR_') && !(code in BROKEN)) return of('protocol', messageOf(error))
  return of('connection', BROKEN[code] ? `${BROKEN[code]} (${detail(error)})` : detail(error))
}

const TIMEOUTS: Readonly<
  Record<string, { key: string; message: (settings: TransportSettings) => string } | undefined>
> = {
  UND_ERR_CONNECT_TIMEOUT: {
    key: 'connect_timeout',
    message: ({ connectTimeout }) => `no connection within ${connectTimeout} s`,
  },
  UND_ERR_HEADERS_TIMEOUT: {
    key: 'response_timeout',
    message: ({ responseTimeout }) => `no answer within ${responseTimeout} s`,
  },
  UND_ERR_BODY_TIMEOUT: {
    key: 'body_timeout',
    message: ({ bodyTimeout }) => `the answer stalled for ${bodyTimeout} s`,
  },
}

const BROKEN: Readonly<Record<string, string | undefined>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection closed',
  EAI_AGAIN: 'the name could not be looked up',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'connection timed out',
  UND_ERR_SOCKET: 'connection closed',
  UND_ERR_INFO: 'connection closed',
}

function isTls(code: string): boolean {
  return (
    /^(ERR_TLS|ERR_SSL|EPROTO$|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH)/.test(code) ||
    code === 'UND_ERR_PRX_TLS'
  )
}

/** Several addresses were tried: the first says it. */
function detail(error: Error): string {
  const first = error instanceof AggregateError ? error.errors[0] : error
  return messageOf(first)
}
