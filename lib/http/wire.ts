// The way over the network, and the only import of undici: a pool of connections that are kept alive, timeouts,
// decompression, and proxies from the environment. One for each client; it is imported with the first request.

import { Agent, type Dispatcher, EnvHttpProxyAgent, Pool } from 'undici'
import type { Transport, TransportSettings, WireRequest, WireResponse } from './transport.ts'
import { decompressed } from './wire-decode.ts'
import { Exchange } from './wire-exchange.ts'
import { proxiesOf } from './wire-proxy.ts'

/** Proxies are those of the environment. */
export function openWire(settings: TransportSettings, environment: NodeJS.ProcessEnv = process.env): Transport {
  const agent = openAgent(settings, environment)
  return {
    waits: true,
    send: (request, signal) => send(agent, settings, request, signal),
    close: () => agent.destroy(),
  }
}

async function send(
  agent: Dispatcher,
  settings: TransportSettings,
  { method, url, headers, body }: WireRequest,
  signal: AbortSignal,
): Promise<WireResponse> {
  signal.throwIfAborted()
  const { origin, pathname, search } = new URL(url)
  const exchange = new Exchange(signal, settings)
  agent.dispatch(
    {
      origin,
      path: pathname + search,
      method,
      // A copy: undici adds to it when it goes through a proxy.
      headers: { ...headers },
      body: body ?? null,
      headersTimeout: settings.responseTimeout * 1000,
      bodyTimeout: settings.bodyTimeout * 1000,
    },
    exchange,
  )
  return decompressed(await exchange.response)
}

function openAgent({ connectTimeout, responseTimeout }: TransportSettings, environment: NodeJS.ProcessEnv): Dispatcher {
  const timeout = connectTimeout * 1000
  const options: Agent.Options = { connect: { timeout } }
  const proxies = proxiesOf(environment)
  if (!proxies) return new Agent(options)
  return new EnvHttpProxyAgent({
    ...options,
    ...proxies,
    // As curl does: a tunnel for https only, which is all that many proxies allow.
    proxyTunnel: false,
    proxyTls: { timeout },
    requestTls: { timeout },
    clientFactory: (origin, given) => new Pool(origin, { ...given, headersTimeout: responseTimeout * 1000 }),
  })
}
