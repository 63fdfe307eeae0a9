// OAuth 2 without a browser: an access token is fetched when the first request needs one, replaced before it ends and
// once when the API refuses it. All requests of a client share it, and share the fetch.

import type { Authenticator, AuthenticatorParts, OauthParams } from '../auth.ts'
import { BizonError, messageOf } from '../errors.ts'
import type { HttpResponse } from '../http.ts'
import { REDACTED, recognisable, redactError, redactor } from '../redact.ts'
import { orAborted } from '../wait.ts'
import { readGrant } from './oauth-answer.ts'

/** Refusals are read here, not by the client: but for those that a second attempt may mend. */
const REFUSALS = Array.from({ length: 100 }, (_, i) => 400 + i).filter((status) => ![408, 425, 429].includes(status))
const SHOWN_CHARACTERS = 200

interface Token {
  readonly header: string
  /** Milliseconds since 1970 at which it is replaced; absent: when the API refuses it. */
  readonly until?: number
}

interface Flight {
  readonly token: Promise<Token>
  /** Gives the fetch up. */
  readonly control: AbortController
  waiting: number
}

export function createOauth(params: OauthParams, { send, log, now = Date.now }: AuthenticatorParts): Authenticator {
  const secrets = new Set(secretsOf(params))
  let refreshToken = params.refresh_token
  let current: Token | undefined
  let flight: Flight | undefined
  let rotated = false

  async function fetchToken(signal: AbortSignal): Promise<Token> {
    const asked = now() // before it is sent, so that the time on the way does not count as life
    const answer = await send(
      {
        method: 'POST',
        url: params.token_refresh_endpoint,
        headers: { accept: 'application/json' },
        form: form(params, refreshToken),
        repeatable: true,
        accept: REFUSALS,
        hidden: { secrets: [...secrets], fields: [params.access_token_name, 'refresh_token', 'id_token'] },
      },
      signal,
    )
    const grant = readGrant(answer, params, asked)
    if ('refused' in grant) throw refused(answer, grant.refused)
    secrets.add(grant.token)
    // A cassette gives back `***`: no new one.
    if (grant.refreshToken !== undefined && ![refreshToken, REDACTED].includes(grant.refreshToken)) {
      refreshToken = grant.refreshToken
      secrets.add(refreshToken)
      if (!rotated) log.warn(rotation(params))
      rotated = true
    }
    const { token, life } = grant
    const header = `Bearer ${token}`
    log.debug(
      `fetched an access token from ${endpoint(params)}${life === undefined ? '' : `, for ${Math.round(life / 1000)} s`}`,
    )
    if (life === undefined) return { header }
    return { header, until: asked + life - Math.min(params.expiry_margin * 1000, life / 2) }
  }

  function refused(answer: HttpResponse, { said, hint }: Refusal): BizonError {
    const text = redactor([...secrets])(said)
    const shown = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text
    return new BizonError('source', `no access token: POST ${endpoint(params)} answered ${answer.status}: ${shown}`, {
      hint,
    })
  }

  /** Joins the fetch that is on its way, or starts one; it goes on as long as somebody waits for it. */
  async function share(signal: AbortSignal): Promise<Token> {
    signal.throwIfAborted()
    flight ??= depart()
    const joined = flight
    joined.waiting++
    const token = await orAborted(joined.token, signal).finally(() => {
      if (--joined.waiting > 0) return
      joined.control.abort()
      if (flight === joined) flight = undefined
    })
    signal.throwIfAborted()
    return token as Token
  }

  function depart(): Flight {
    const control = new AbortController()
    const token = fetchToken(control.signal).then(
      (fetched) => {
        current = fetched
        return fetched
      },
      (error: unknown) => {
        throw control.signal.aborted ? error : explained(error, params, [...secrets])
      },
    )
    const departed: Flight = { token, control, waiting: 0 }
    const landed = (): void => {
      if (flight === departed) flight = undefined
    }
    token.then(landed, landed)
    return departed
  }

  return {
    async headers(signal) {
      if (current?.until !== undefined && now() >= current.until) current = undefined
      const { header } = current ?? (await share(signal))
      return { authorization: header }
    },
    renew(used) {
      if (used === undefined || used.authorization === current?.header) current = undefined
      return true
    },
    secrets: () => recognisable(secrets),
  }
}

interface Refusal {
  readonly said: string
  readonly hint: string | undefined
}

/** What the token endpoint is asked with. Fields of `refresh_request_body` replace none of the others. */
function form(params: OauthParams, refreshToken: string | undefined): Record<string, string> {
  const { grant_type, client_id, client_secret, scopes = [], scope_separator } = params
  const more = Object.entries(params.refresh_request_body).map(([name, value]) => [name, String(value)])
  return {
    ...(Object.fromEntries(more) as Record<string, string>),
    grant_type,
    client_id,
    client_secret,
    ...(refreshToken !== undefined && { refresh_token: refreshToken }),
    ...(scopes.length > 0 && { scope: scopes.join(scope_separator) }),
  }
}

const SECRET_FIELD = /pass|secret|token|key|assertion|credential|code/i

function secretsOf({ client_secret, refresh_token, refresh_request_body }: OauthParams): string[] {
  const more = Object.entries(refresh_request_body).filter(([name]) => SECRET_FIELD.test(name))
  return [
    client_secret,
    ...(refresh_token === undefined ? [] : [refresh_token]),
    ...more.map(([, value]) => `${value}`),
  ]
}

/** The URL without what may be secret in it. */
function endpoint({ token_refresh_endpoint }: OauthParams): string {
  const { origin, pathname } = new URL(token_refresh_endpoint)
  return origin + pathname
}

function rotation(params: OauthParams): string {
  return (
    `${endpoint(params)} gave a new refresh token. It is used until this process ends and stored nowhere: ` +
    'if the old one no longer works, put a new refresh token into the config before the next run, ' +
    'or ask the provider for a client whose refresh tokens stay'
  )
}

/** No answer, or none that could be read. */
function explained(error: unknown, params: OauthParams, secrets: readonly string[]): unknown {
  if (error instanceof BizonError && error.message.startsWith('no access token')) return error
  redactError(error, secrets)
  const said = messageOf(error)
  const where = said.includes(params.token_refresh_endpoint) ? '' : `POST ${endpoint(params)}: `
  const { code, hint, retriable } =
    error instanceof BizonError ? error : { code: 'source' as const, hint: undefined, retriable: false }
  return new BizonError(code, `no access token: ${where}${said}`, { hint, retriable, cause: error })
}
