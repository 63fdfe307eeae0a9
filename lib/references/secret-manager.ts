// gsm://ID: Google Secret Manager. The only import of its client, an optional peer that is loaded when a config has
// such a reference. The client speaks REST: its timeouts hold there, and a test can stand in for the service.

import type { SecretManagerServiceClient } from '@google-cloud/secret-manager'
import { BizonError, messageOf, systemCode } from '../errors.ts'

const PACKAGE = '@google-cloud/secret-manager'
const ID = /^[\w-]{1,255}$/
const SECRET = /^([^/]+)(?:\/versions\/([\w-]+))?$/
const FULL_NAME = /^projects\/[^/]+(?:\/locations\/[^/]+)?\/secrets\/[^/]+\/versions\/[^/]+$/
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]']
/** Times a request is sent again that failed in passing; the client waits longer each time. */
const RETRIES = 3

export interface SecretManagerSettings {
  /** Of secrets that do not name one. Absent: that of the credentials. */
  readonly project?: string | undefined
  /** Host and port, or `http://` with one on this machine. Absent: Google's. */
  readonly endpoint?: string | undefined
  /** Path of a key file. Absent: what the client finds by itself. */
  readonly keyFile?: string | undefined
  /** For one secret, retries included. */
  readonly timeoutSeconds?: number
}

export interface SecretManager {
  /** What follows `gsm://`, to the secret's text. Rejects with a BizonError that says which and why. */
  read(path: string): Promise<string>
  /** Safe twice. */
  close(): Promise<void>
}

/** Loads the client at the first `read`. */
export function createSecretManager({
  project,
  endpoint,
  keyFile,
  timeoutSeconds = 30,
}: SecretManagerSettings): SecretManager {
  let opening: Promise<SecretManagerServiceClient> | undefined
  let projectOfCredentials: Promise<string> | undefined

  const open = async (): Promise<SecretManagerServiceClient> => {
    const Client = await load()
    const attempt = (timeoutSeconds * 1000) / (RETRIES + 1)
    const client = new Client({
      fallback: true,
      clientOptions: {
        transporterOptions: {
          timeout: attempt,
          retryConfig: { retry: RETRIES, totalTimeout: timeoutSeconds * 1000, statusCodesToRetry: TRANSIENT },
        },
      },
      ...(endpoint !== undefined && partsOf(endpoint)),
      ...(keyFile !== undefined && { keyFilename: keyFile }),
    })
    // The client calls this by itself too, but then a failure is one that nobody can catch.
    await client.initialize()
    return client
  }

  const nameOf = async (path: string, client: SecretManagerServiceClient): Promise<string> => {
    if (path.startsWith('projects/')) return path
    const [, id, version = 'latest'] = SECRET.exec(path) ?? []
    projectOfCredentials ??= project === undefined ? client.getProjectId() : Promise.resolve(project)
    const owner = await projectOfCredentials.catch(() => {
      throw new BizonError('config', `gsm://${path}: no project is known for it`, {
        hint: `set secrets.gsm.project_id, or write gsm://projects/PROJECT/secrets/${id}/versions/${version}`,
      })
    })
    return `projects/${owner}/secrets/${id}/versions/${version}`
  }

  const fetch = async (path: string): Promise<string> => {
    opening ??= open()
    const client = await opening
    const name = await nameOf(path, client)
    const [version] = await client.accessSecretVersion({ name })
    return textOf(version.payload?.data, path)
  }

  return {
    async read(path) {
      checkPath(path)
      try {
        return await within(timeoutSeconds, fetch(path))
      } catch (error) {
        throw error instanceof BizonError ? error : failure(error, path)
      }
    },
    async close() {
      await opening?.then((client) => client.close()).catch(() => {})
    },
  }
}

const TRANSIENT = [
  [408, 408],
  [429, 429],
  [500, 599],
]

async function load(): Promise<typeof SecretManagerServiceClient> {
  try {
    return (await import('@google-cloud/secret-manager')).SecretManagerServiceClient
  } catch (error) {
    if (systemCode(error) !== 'ERR_MODULE_NOT_FOUND' && systemCode(error) !== 'MODULE_NOT_FOUND') throw error
    throw new BizonError('config', `gsm:// needs the package ${PACKAGE}, which is not installed`, {
      hint: `npm install ${PACKAGE}`,
    })
  }
}

function checkPath(path: string): void {
  const [, id = ''] = SECRET.exec(path) ?? []
  const isFull = path.startsWith('projects/')
  if (isFull ? FULL_NAME.test(path) : ID.test(id)) return
  throw new BizonError('config', `gsm://${path} does not name a secret`, {
    hint: isFull
      ? 'a full name is gsm://projects/PROJECT/secrets/ID/versions/latest'
      : 'write gsm://ID, gsm://ID/versions/4 or gsm://projects/PROJECT/secrets/ID/versions/latest',
  })
}

/** Without encryption only to this machine: the request carries a token, the answer a secret. */
function partsOf(endpoint: string): { apiEndpoint: string; port: number; protocol: string } {
  const text = endpoint.includes('://') ? endpoint : `https://${endpoint}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url?.protocol === 'http:'
  if (!url || (url.protocol !== 'https:' && !(isPlain && LOOPBACK.includes(url.hostname))) || url.pathname !== '/') {
    throw new BizonError('config', `secrets.gsm.endpoint ${JSON.stringify(endpoint)} is not a host, or host:port`, {
      hint: 'for example secretmanager.europe-west1.rep.googleapis.com',
    })
  }
  const port = url.port === '' ? (isPlain ? 80 : 443) : Number(url.port)
  return { apiEndpoint: url.hostname, port, protocol: isPlain ? 'http' : 'https' }
}

function textOf(data: string | Uint8Array | null | undefined, path: string): string {
  if (typeof data === 'string') return data
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data ?? new Uint8Array())
  } catch {
    throw new BizonError('config', `gsm://${path} is not UTF-8 text`)
  }
}

async function within<T>(seconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${seconds} s`)), seconds * 1000)
  })
  return Promise.race([work, over]).finally(() => clearTimeout(timer))
}

/** In our words. The client's own error is not kept: it holds the request with its token. */
function failure(error: unknown, path: string): BizonError {
  const said = messageFrom(error)
  const status = error instanceof Error && 'status' in error ? error.status : undefined
  const about = (text: string, hint?: string) => new BizonError('config', `gsm://${path}: ${text}`, { hint })
  if (status === 404) return about(`there is no such secret or version (${said})`, 'gcloud secrets list')
  if (status === 403) {
    return about(`access denied (${said})`, 'grant these credentials roles/secretmanager.secretAccessor')
  }
  if (status === 401 || systemCode(error) === 'ENOENT' || /default credentials|does not exist, or it is/.test(said)) {
    return about(
      `no Google credentials (${said})`,
      'gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to a key file',
    )
  }
  return about(said)
}

/** What the API said, which comes as JSON text. */
function messageFrom(error: unknown): string {
  const message = messageOf(error).trim()
  try {
    const parsed: { error?: { message?: unknown } } = JSON.parse(message)
    if (typeof parsed.error?.message === 'string') return oneLine(parsed.error.message)
  } catch {
    // It is plain text.
  }
  return oneLine(message)
}

const oneLine = (text: string): string =>
  text
    .replace(/\s+/g, ' ')
    .replace(/[.\s]+$/, '')
    .slice(0, 300)
