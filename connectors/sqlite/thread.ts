// A SQLite database in a thread of its own: its calls block the thread that makes them, and reading a source and writing
// to the database are then the work of two cores. One request at a time is under way; answers come in their order.

import { createRequire } from 'node:module'
import { type MessagePort, Worker } from 'node:worker_threads'
import type BetterSqlite3 from 'better-sqlite3'

export type Value = null | number | string
export type Row = Readonly<Record<string, unknown>>

/** Bytes that are lent: each must be the whole of its ArrayBuffer, and is gone until the answer brings that back. */
export interface Bytes {
  readonly [name: string]: Buffer | number
}

export interface Answer {
  readonly rows: readonly Row[]
  /** Rows inserted, changed or deleted, without those of triggers. */
  readonly changes: number
  /** The memory that was lent, in its order: as garbage of the thread it would pile up there. */
  readonly lent?: readonly ArrayBuffer[]
}

export interface OpenOptions {
  readonly path: string
  readonly busyTimeoutMs: number
  readonly readonly?: boolean
}

type Request =
  | ({ readonly operation: 'open' } & OpenOptions)
  | { readonly operation: 'query'; readonly sql: string; readonly values: readonly Value[] | Bytes }
  | { readonly operation: 'exec'; readonly sql: string }
  | { readonly operation: 'rollback' }
  | { readonly operation: 'close' }

interface Reply {
  readonly answer?: Answer
  readonly error?: { readonly message: string; readonly code: unknown }
}

interface Waiting {
  resolve(answer: Answer): void
  reject(error: unknown): void
}

export class SqliteThread {
  readonly #worker: Worker
  readonly #waiting: Waiting[] = []
  #ended: Error | undefined

  /** `client`: where better-sqlite3 is, for a bundle that lies where nothing is installed. */
  constructor(client = createRequire(import.meta.url).resolve('better-sqlite3')) {
    this.#worker = new Worker(`(${serve})(require('node:worker_threads').parentPort, require)`, {
      eval: true,
      // Its garbage is small: what it is sent goes back.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
      workerData: { client },
    })
    this.#worker.on('message', (reply: Reply) => this.#answer(reply))
    this.#worker.on('error', (error) => this.#end(error))
    this.#worker.on('exit', () => this.#end(new Error('the thread of the database has ended')))
    this.#worker.unref()
  }

  open(options: OpenOptions): Promise<Answer> {
    return this.#ask({ operation: 'open', ...options })
  }

  /** One statement. */
  query(sql: string, values: readonly Value[] = []): Promise<Answer> {
    return this.#ask({ operation: 'query', sql, values })
  }

  /** One statement with bytes among its values, which it names. */
  send(sql: string, values: Bytes): Promise<Answer> {
    return this.#ask({ operation: 'query', sql, values }, lentOf(values))
  }

  /** Any number of statements. */
  exec(sql: string): Promise<Answer> {
    return this.#ask({ operation: 'exec', sql })
  }

  /** Undoes the transaction, unless an error has undone it already. */
  rollback(): Promise<Answer> {
    return this.#ask({ operation: 'rollback' })
  }

  /** Closes the database, once what is under way is done. Another one may be opened. */
  close(): Promise<Answer> {
    return this.#ask({ operation: 'close' })
  }

  /** Ends the thread. */
  async stop(): Promise<void> {
    await this.#worker.terminate()
  }

  #ask(request: Request, given: readonly ArrayBuffer[] = []): Promise<Answer> {
    if (this.#ended) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      // Nothing else may keep the process alive while it waits for an answer.
      this.#worker.ref()
      this.#worker.postMessage(request, given)
    })
  }

  #answer({ answer, error }: Reply): void {
    const waiting = this.#waiting.shift()
    if (this.#waiting.length === 0) this.#worker.unref()
    if (answer) waiting?.resolve(answer)
    else waiting?.reject(Object.assign(new Error(error?.message), { code: error?.code }))
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended)
  }
}

function lentOf(values: Bytes): ArrayBuffer[] {
  return Object.values(values).flatMap((value) => (typeof value === 'number' ? [] : [value.buffer as ArrayBuffer]))
}

/**
 * What the thread does. It gets there as text, so that it is the same in the built program, in a bundle of somebody else
 * and from the source: it may use nothing but its parameters.
 */
function serve(port: MessagePort, load: NodeJS.Require): void {
  const { client } = load('node:worker_threads').workerData as { client: string }
  const Client = load(client) as typeof BetterSqlite3
  const TIME = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?:(:\d\d)(?:\.(\d+))?)?(?:([Zz])|([+-]\d\d)(?::?(\d\d))?)?$/
  const NOTHING: Answer = { rows: [], changes: 0 }
  let database: BetterSqlite3.Database | undefined
  let statements = new Map<string, BetterSqlite3.Statement>()

  const opened = (): BetterSqlite3.Database => {
    if (!database) throw new Error('no database is open')
    return database
  }

  const open = ({ path, busyTimeoutMs, readonly = false }: OpenOptions): void => {
    database = new Client(path, { timeout: busyTimeoutMs, readonly, fileMustExist: readonly })
    // Times as text that can be compared; another text as it is.
    database.function('bizon_time', { deterministic: true }, (text) => {
      const [, day, clock, seconds = ':00', fraction = '', , hours, minutes = '00'] = TIME.exec(String(text)) ?? []
      const zone = hours === undefined ? 'Z' : `${hours}:${minutes}`
      const instant = day === undefined ? Number.NaN : Date.parse(`${day}T${clock}${seconds}${zone}`)
      if (Number.isNaN(instant)) return text
      const digits = fraction.replace(/0+$/, '')
      return new Date(instant).toISOString().slice(0, 19) + (digits && `.${digits}`)
    })
  }

  const query = (sql: string, values: readonly Value[] | Bytes): Answer => {
    let statement = statements.get(sql)
    if (!statement) {
      statement = opened().prepare(sql)
      statements.set(sql, statement)
    }
    const named = Array.isArray(values) ? values : Object.fromEntries(Object.entries(values).map(own))
    if (statement.reader) return { rows: statement.all(named) as Row[], changes: 0 }
    return { rows: [], changes: statement.run(named).changes }
  }

  const memoryOf = (values: readonly Value[] | Bytes): ArrayBuffer[] =>
    Object.values(values).flatMap((value) => (value instanceof Uint8Array ? [value.buffer as ArrayBuffer] : []))

  /** A Buffer is a plain array of bytes once it was sent. */
  const own = ([name, value]: [string, Uint8Array | number]): [string, Buffer | number] => [
    name,
    typeof value === 'number' ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength),
  ]

  const execute = (request: Request): Answer => {
    switch (request.operation) {
      case 'open':
        open(request)
        return NOTHING
      case 'query':
        return query(request.sql, request.values)
      case 'exec':
        opened().exec(request.sql)
        return NOTHING
      case 'rollback':
        if (database?.inTransaction) database.exec('ROLLBACK')
        return NOTHING
      case 'close':
        statements = new Map()
        database?.close()
        database = undefined
        return NOTHING
    }
  }

  port.on('message', (request: Request) => {
    try {
      const answer = execute(request)
      const lent = request.operation === 'query' ? memoryOf(request.values) : []
      port.postMessage({ answer: { ...answer, lent } }, lent)
    } catch (error) {
      const { message, code } = error as { message?: string; code?: unknown }
      port.postMessage({ error: { message: String(message), code } })
    }
  })
}
