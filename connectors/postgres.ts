// The only file that imports pg and pg-copy-streams: one connection, its errors in our words. Both are optional peers,
// loaded when a config names PostgreSQL.

import { Socket, type SocketConstructorOpts } from 'node:net'
import type { Client, DatabaseError, QueryResult } from 'pg'
import type { CopyStreamQuery } from 'pg-copy-streams'
import type { SslMode } from '../lib/config/schema-tls.ts'
import { BizonError, type ErrorCode, messageOf, systemCode } from '../lib/errors.ts'
import { cuttable } from '../lib/fault.ts'
import { calledOff } from '../lib/wait.ts'
import { readTls } from './tls.ts'

export interface Address {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password?: string | undefined
  readonly ssl: {
    readonly mode: SslMode
    /** Paths of PEM files. */
    readonly rootCert?: string | undefined
    readonly cert?: string | undefined
    readonly key?: string | undefined
  }
}

export interface Answer {
  readonly rows: readonly Readonly<Record<string, unknown>>[]
  /** Rows that a statement changed, or gave. */
  readonly count: number
  /** Types are OIDs. */
  readonly columns: readonly { readonly name: string; readonly type: number; readonly modifier: number }[]
}

/** Whatever takes statements. */
export interface Queries {
  query(sql: string, values?: readonly unknown[]): Promise<Answer>
}

/** The name of a session within a transaction that keeps an advisory lock and does nothing else, by which others know that. */
export const GUARD = 'bizon (keeps a lock)'

/** What PgBouncer says. */
const POOL_IS_EMPTY = 'query_wait_timeout'
const CONNECT_SECONDS = 20
const GOODBYE_SECONDS = 5
/** As much as a COPY has: else its parts would each wait for their turn behind whatever else this process does. */
const SOCKET_BYTES = 16 << 20
/** Of silence, after which the system asks whether the other side is still there. */
const KEEP_ALIVE_SECONDS = 15

/** Rejects with a BizonError of the code, which never shows the password. */
export async function connect(address: Address, signal: AbortSignal, code: ErrorCode): Promise<Connection> {
  const { Client, streams } = await load(code)
  const { mode } = address.ssl
  const starved = (): BizonError =>
    new BizonError(
      code,
      `PostgreSQL at ${address.host}:${address.port} (${code}): the pooler had no connection free in time`,
      {
        hint: 'A run has up to six at once, where source, destination and state are there: give it a larger pool (default_pool_size).',
      },
    )
  const attempt = async (encrypted: boolean): Promise<Connection> => {
    const { host, port, database, user, password } = address
    const client = new Client({
      host,
      port,
      database,
      user,
      ...(password !== undefined && { password }),
      application_name: 'bizon',
      stream: () => new Socket({ writableHighWaterMark: SOCKET_BYTES } as SocketConstructorOpts),
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_SECONDS * 1000,
      connectionTimeoutMillis: CONNECT_SECONDS * 1000,
      ssl: encrypted && sslOptions(address, code),
    })
    const connection = new Connection(client, streams, starved)
    try {
      await connection.interruptible(signal, client.connect())
      return connection
    } catch (error) {
      await connection.close()
      throw error
    }
  }
  try {
    return await attempt(mode !== 'disable').catch((error: unknown) => {
      if (mode === 'prefer' && messageOf(error).includes('does not support SSL')) return attempt(false)
      throw error
    })
  } catch (error) {
    signal.throwIfAborted()
    throw connectError(error, address, code)
  }
}

/** A connection: after a failure that is not the server's own answer it is `lost`, and of no use any more. */
export class Connection implements Queries {
  readonly #client: Client
  readonly #streams: CopyStreams
  readonly #starved: () => BizonError
  #lost = false
  #closing: Promise<void> | undefined
  readonly #forget: () => void

  /** `starved`: what is thrown where a pooler has no connection to lend. */
  constructor(client: Client, streams: CopyStreams, starved: () => BizonError) {
    this.#client = client
    this.#streams = streams
    this.#starved = starved
    // Also told while nobody is waiting for an answer.
    client.on('error', () => this.#lose())
    client.on('end', () => this.#lose())
    this.#forget = cuttable(() => connectionOf(client).stream.destroy())
  }

  get lost(): boolean {
    return this.#lost
  }

  /** Several statements may be given where there are no values; then the last answer counts. */
  async query(sql: string, values: readonly unknown[] = []): Promise<Answer> {
    const result = await this.#watch(
      values.length === 0 ? this.#client.query(sql) : this.#client.query(sql, [...values]),
    )
    const last: QueryResult | undefined = Array.isArray(result) ? result.at(-1) : result
    const columns = (last?.fields ?? []).map(({ name, dataTypeID: type, dataTypeModifier: modifier }) => ({
      name,
      type,
      modifier,
    }))
    return { rows: last?.rows ?? [], count: last?.rowCount ?? 0, columns }
  }

  /**
   * `COPY … FROM STDIN` of all the bytes, which are in memory anyway. Resolves to the number of rows. `begun` is called when
   * the server has asked for them and they are on their way.
   */
  async copy(sql: string, chunks: readonly Uint8Array[], begun = () => {}): Promise<number> {
    const stream = this.#client.query(this.#streams.from(sql)) as CopyIn
    const answered = stream.handleCopyInResponse
    stream.handleCopyInResponse = (connection) => {
      answered.call(stream, connection)
      begun()
    }
    await this.#watch(
      new Promise<void>((resolve, reject) => {
        stream.on('finish', resolve)
        stream.on('error', (error) => {
          reject(error)
          // Else what is left would be sent to a connection that the stream has let go of.
          stream.destroy()
        })
        for (const chunk of chunks) stream.write(chunk)
        stream.end()
      }),
    )
    return stream.rowCount
  }

  /** `COPY … TO STDOUT`: its bytes, as fast as they are taken. Whoever leaves before their end has cut the connection. */
  async *copyOut(sql: string): AsyncGenerator<Buffer, void, void> {
    const stream = this.#client.query(this.#streams.to(sql))
    // A connection that is cut tells it once more, when nobody listens any longer.
    stream.on('error', () => {})
    let whole = false
    try {
      for await (const chunk of stream) yield chunk as Buffer
      whole = true
    } catch (error) {
      whole = sqlState(error) !== undefined && !isShutdown(error)
      throw error
    } finally {
      if (!whole) this.cut()
    }
  }

  /** Waits; an abort cuts the connection and rejects with its reason. */
  interruptible<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
    return calledOff(work, signal, () => this.cut())
  }

  /** Without a word to the server, which then undoes what was not committed. */
  cut(): void {
    this.#lose()
    connectionOf(this.#client).stream.destroy()
  }

  /** Never rejects; safe twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#lost) return this.cut()
    // A server that does not answer any more must not keep the program from ending.
    const timer = setTimeout(() => this.cut(), GOODBYE_SECONDS * 1000)
    await this.#client.end().catch(() => this.cut())
    clearTimeout(timer)
  }

  async #watch<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      if (sqlState(error) === undefined || isShutdown(error)) this.#lose()
      // Waiting once more would be in vain where it is this run that has them.
      throw messageOf(error) === POOL_IS_EMPTY ? this.#starved() : error
    }
  }

  #lose(): void {
    this.#lost = true
    this.#forget()
  }
}

/** The socket below a client: the types leave it out. */
function connectionOf(client: Client): { stream: { destroy(): void } } {
  return (client as unknown as { connection: { stream: { destroy(): void } } }).connection
}

/** The five characters by which PostgreSQL names an error; undefined when it is not the server's. */
export function sqlState(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as Partial<DatabaseError>).code : undefined
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** What the server says of where an error is. */
export function detailsOf(
  error: unknown,
): Pick<DatabaseError, 'where' | 'detail' | 'column' | 'constraint' | 'routine'> {
  return error as DatabaseError
}

function isShutdown(error: unknown): boolean {
  return /^(?:57P0|08)/.test(sqlState(error) ?? '')
}

/** Whether the server, or the way to it, is gone; it may come back. */
export function isGone(error: unknown): boolean {
  if (isShutdown(error)) return true
  if (error instanceof BizonError) return error.retriable && isGone(error.cause)
  const code = systemCode(error)
  if (code !== undefined && /^(?:ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|EAI_AGAIN)/.test(code)) return true
  return /^Connection terminated|^timeout expired|connection timeout|Client has encountered a connection error/.test(
    messageOf(error),
  )
}

/** Whether the whole transaction may succeed when it is done once more. */
export function isConflict(error: unknown): boolean {
  return ['40001', '40P01'].includes(sqlState(error) ?? '')
}

function connectError(error: unknown, { host, port, database, user, ssl }: Address, code: ErrorCode): unknown {
  if (error instanceof BizonError) return error
  const place = `${host}:${port}`
  const failed = (reason: string, hint: string, retriable = false): BizonError =>
    new BizonError(code, `PostgreSQL at ${place} (${code}): ${reason}`, { hint, retriable, cause: error })
  const state = sqlState(error)
  const text = messageOf(error)
  if (state === '3D000') return failed(`there is no database ${database}`, `createdb ${database}, or change database.`)
  if (state === '28P01' || /password must be a string/.test(text)) {
    return failed(`user ${user} was refused: wrong password, or none`, 'Check user and password.')
  }
  if (state?.startsWith('28')) return failed(`user ${user} was refused: ${text}`, 'Check user and pg_hba.conf.')
  if (text.includes('does not support SSL')) {
    return failed(`it does not speak TLS, which sslmode ${ssl.mode} asks for`, 'Set sslmode to disable or prefer.')
  }
  if (
    state === undefined &&
    /certificate|self.signed|altnames|CERT_|UNABLE_TO_/i.test(`${systemCode(error)} ${text}`)
  ) {
    return failed(`its certificate is not trusted: ${text}`, 'Set sslrootcert to the certificate of its authority.')
  }
  if (state === '53300') return failed('it has no connection left', 'Raise max_connections, or try later.', true)
  const reason = error instanceof AggregateError ? messageOf(error.errors[0]) : text
  return failed(`cannot connect: ${reason}`, 'See whether the server runs and can be reached.', isGone(error))
}

function sslOptions({ host, ssl }: Address, code: ErrorCode): object {
  const files = readTls({ ca: ssl.rootCert, cert: ssl.cert, key: ssl.key }, code)
  // As in libpq: whoever names an authority wants it asked.
  const mode = ssl.mode === 'require' && files.ca ? 'verify-ca' : ssl.mode
  return {
    ...files,
    ...(!/^[\d.]+$|:/.test(host) && { servername: host }),
    rejectUnauthorized: mode.startsWith('verify'),
    ...(mode === 'verify-ca' && { checkServerIdentity: () => undefined }),
  }
}

/** pg tells it the server's answers: the types leave that out. */
type CopyIn = CopyStreamQuery & { handleCopyInResponse(connection: unknown): void }

type CopyStreams = Pick<typeof import('pg-copy-streams'), 'from' | 'to'>

async function load(code: ErrorCode): Promise<{ Client: typeof Client; streams: CopyStreams }> {
  try {
    const [pg, copy] = await Promise.all([import('pg'), import('pg-copy-streams')])
    return { Client: pg.default.Client, streams: { from: copy.from, to: copy.to } }
  } catch (error) {
    if (systemCode(error) !== 'ERR_MODULE_NOT_FOUND' && systemCode(error) !== 'MODULE_NOT_FOUND') throw error
    throw new BizonError(code, 'PostgreSQL needs the packages pg and pg-copy-streams, which are not installed', {
      hint: 'npm install pg pg-copy-streams',
    })
  }
}

/** An identifier of any spelling. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Text in SQL that takes no values; standard_conforming_strings must be on. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
