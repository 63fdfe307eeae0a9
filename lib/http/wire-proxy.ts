// Which proxies the environment names, as curl and most programs read it: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, the
// lower case names first.

import { BizonError } from '../errors.ts'

export interface Proxies {
  /** For http:// and https://; an empty text: none. */
  readonly httpProxy: string
  readonly httpsProxy: string
  readonly noProxy: string
}

/** Undefined if there are none. Throws when one is no URL; what it is may hold a password, so that is not shown. */
export function proxiesOf(environment: NodeJS.ProcessEnv): Proxies | undefined {
  const httpProxy = proxy(environment, 'HTTP_PROXY')
  const httpsProxy = proxy(environment, 'HTTPS_PROXY')
  if (httpProxy === '' && httpsProxy === '') return undefined
  return { httpProxy, httpsProxy, noProxy: environment.no_proxy ?? environment.NO_PROXY ?? '' }
}

function proxy(environment: NodeJS.ProcessEnv, upper: string): string {
  const lower = upper.toLowerCase()
  const name = environment[lower] === undefined ? upper : lower
  const value = environment[name]?.trim() ?? ''
  if (value === '') return ''
  const url = value.includes('://') ? value : `http://${value}`
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new BizonError('config', `the environment variable ${name} is not the URL of a proxy`, {
      hint: `Set ${name} to a URL such as http://user:password@proxy.example.com:3128, or to nothing.`,
    })
  }
  return url
}
