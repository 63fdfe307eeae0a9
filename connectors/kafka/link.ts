// A connection to a cluster: the client, made of what the config says, and whatever is asked of it again while its brokers are
// away. What is opened over it ends with it.

import type { Socket } from 'node:net'
import type * as Client from 'kafkajs'
import { BizonError, type ErrorCode, messageOf } from '../../lib/errors.ts'
import { cuttable } from '../../lib/fault.ts'
import type { Log } from '../../lib/log.ts'
import { orAborted, sleep } from '../../lib/wait.ts'
import { Absence } from './absence.ts'
import type { FetchCluster } from './cluster.ts'
import type { KafkaConnection } from './config.ts'
import { isPassing, kafkaError, type Place, protocolType } from './errors.ts'
import { inTime } from './in-time.ts'
import type { Modules } from './modules.ts'
import { type AskedSocket, Sockets, saslOptions, Tokens, tlsOptions } from './security.ts'

/** Of the first connection, whatever the client thinks. */
const CONNECT_SECONDS = 20
/** Of one attempt. */
const ATTEMPT_MS = 5_000
const REQUEST_MS = 30_000
/** How long a broker may be away in the midst of things: what is started again is back within seconds. */
export const PATIENCE_SECONDS = 60
const GOODBYE_SECONDS = 5

export class Link {
  /** Of errors. */
  readonly place: Place
  readonly connection: KafkaConnection
  readonly log: Log
  readonly kafka: Client.Kafka
  readonly cluster: FetchCluster
  readonly modules: Modules
  // The client tries again by itself, for long, and says nothing of it.
  readonly #sockets = new Sockets((error) => this.#isOpen && this.absence.missed(error, PATIENCE_SECONDS))
  readonly absence: Absence
  readonly #tokens: Tokens
  readonly #parts = new Set<{ close(): Promise<void> }>()
  /** Closes the connections: what waits for an answer fails. */
  readonly cut = (): void => this.#sockets.cut('no answer')
  readonly #forget: () => void
  #admin: Promise<Client.Admin> | undefined
  #isOpen = false
  #closing: Promise<void> | undefined

  constructor(connection: KafkaConnection, modules: Modules, code: ErrorCode, log: Log) {
    const { brokers, sasl, settings } = connection
    this.connection = connection
    this.modules = modules
    this.log = log
    this.place = {
      code,
      brokers,
      ...(sasl && { mechanism: sasl.mechanism }),
      ...(sasl && 'username' in sasl && { user: sasl.username }),
    }
    this.absence = new Absence(`Kafka at ${brokers.join(',')}`, log)
    if (!told.has(settings)) for (const what of settings.ignored ?? []) log.warn(what)
    told.add(settings)
    this.#tokens = new Tokens(log)
    const options = this.#options()
    this.kafka = new modules.kafkajs.Kafka({ ...options, retry: retries(PATIENCE_SECONDS) })
    this.cluster = this.#clusterOf({ ...retries(2), retries: 2 })
    this.#forget = cuttable(() => this.#sockets.cut('cut'))
  }

  /** Rejects with a BizonError within seconds where no broker answers. */
  async open(signal: AbortSignal): Promise<void> {
    const over = new AbortController()
    const silent = (): never => {
      throw new BizonError(this.place.code, `Kafka at ${this.place.brokers.join(',')}: no answer`, {
        hint: 'See whether it runs, can be reached, and speaks what security_protocol says at this port.',
        retriable: true,
      })
    }
    const late = sleep(CONNECT_SECONDS, over.signal).then(() => over.signal.aborted || silent())
    late.catch(() => {})
    try {
      await orAborted(Promise.race([this.cluster.connect(), late]), signal)
      signal.throwIfAborted()
      // A second attempt finds the connection open, and asks no more.
      if (!this.cluster.brokerPool.versions) silent()
    } catch (error) {
      signal.throwIfAborted()
      throw kafkaError(error, this.place)
    } finally {
      over.abort()
    }
    this.#isOpen = true
  }

  /** Closes what was opened with it. Never rejects; safe twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#forget()
    // Who has never answered needs no goodbye.
    if (!this.#isOpen) this.#sockets.cut('closed')
    const over = new AbortController()
    const goodbye = async (): Promise<void> => {
      for (const part of [...this.#parts].reverse()) await part.close()
      await this.#admin?.then((admin) => admin.disconnect()).catch(() => {})
      // What still waits for an answer waits for messages that nobody will take.
      this.#sockets.close()
      await this.cluster.disconnect().catch(() => {})
      await this.#tokens.close()
    }
    await Promise.race([goodbye(), sleep(GOODBYE_SECONDS, over.signal)])
    over.abort()
    this.#sockets.close()
  }

  /** Opens a part; what is opened is closed with the client, also when the signal aborts meanwhile. */
  async opened<Part extends { open(): Promise<void>; close(): Promise<void> }>(
    part: Part,
    about: Partial<Place>,
    signal: AbortSignal,
  ): Promise<Part> {
    this.#parts.add(part)
    try {
      await orAborted(part.open(), signal)
    } catch (error) {
      signal.throwIfAborted()
      throw kafkaError(await this.#explained(error, about), { ...this.place, ...about })
    }
    signal.throwIfAborted()
    return part
  }

  /** Why there is no coordinator: the client only says that it found none, also where it was not allowed to look. */
  async #explained(error: unknown, { group, transactionalId }: Partial<Place>): Promise<unknown> {
    const id = group ?? transactionalId
    const text = messageOf(error instanceof BizonError ? error.cause : error)
    if (id === undefined || !/find group coordinator/i.test(text)) return error
    try {
      await this.cluster.refreshMetadata()
      const [nodeId] = this.cluster.getNodeIds()
      if (nodeId === undefined) return error
      const broker = await this.cluster.findBroker({ nodeId })
      await broker.findGroupCoordinator({ groupId: id, coordinatorType: group === undefined ? 1 : 0 })
      return error
    } catch (reason) {
      return reason
    }
  }

  /** What is asked of all brokers, not of a partition's own. */
  withAdmin<T>(about: Partial<Place>, signal: AbortSignal, work: (admin: Client.Admin) => Promise<T>): Promise<T> {
    return this.persist(about, signal, async () => {
      this.#admin ??= (async () => {
        const admin = this.kafka.admin({ retry: retries(2) })
        await admin.connect()
        return admin
      })()
      const admin = await this.#admin.catch((error: unknown) => {
        this.#admin = undefined
        throw error
      })
      return work(admin)
    })
  }

  /** Again and again while the failure is one in passing. */
  async persist<T>(about: Partial<Place>, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const patience = performance.now() + PATIENCE_SECONDS * 1000
    for (let pause = 0.05; ; pause = Math.min(pause * 2, 2)) {
      signal.throwIfAborted()
      try {
        const timed = inTime(work(), this.place, { seconds: PATIENCE_SECONDS, late: this.cut })
        const done = await orAborted(timed, signal)
        signal.throwIfAborted()
        this.absence.answered()
        return done as T
      } catch (thrown) {
        signal.throwIfAborted()
        const error = await this.#explained(thrown, about)
        const type = protocolType(error)
        // The client takes a topic that is not there for one that is about to be made.
        const isPatient = isPassing(error) && type !== 'UNKNOWN_TOPIC_OR_PARTITION' && performance.now() < patience
        if (!isPatient) throw kafkaError(error, { ...this.place, ...about })
        this.absence.missed(error, PATIENCE_SECONDS)
        await sleep(pause, signal)
      }
    }
  }

  #options(): Client.KafkaConfig {
    const { brokers, tls, sasl, settings } = this.connection
    const ssl = tls && tlsOptions(tls, this.place.code)
    return {
      // The client takes what stands before the first colon for the host.
      brokers: brokers.map((broker, at) => (broker.startsWith('[') ? `${seedOf(at)}:${portOf(broker)}` : broker)),
      clientId: settings.clientId ?? 'bizon',
      connectionTimeout: settings.connectTimeoutMs ?? ATTEMPT_MS,
      requestTimeout: settings.requestTimeoutMs ?? REQUEST_MS,
      logLevel: this.modules.kafkajs.logLevel.WARN,
      logCreator:
        () =>
        ({ namespace, log }) =>
          this.log.debug(`kafkajs: ${namespace} ${log.message}${log.broker ? ` (${String(log.broker)})` : ''}`),
      socketFactory: this.#socketFactory(),
      ...(ssl && { ssl }),
      ...(sasl && { sasl: saslOptions(sasl, this.#tokens) as Client.SASLOptions }),
    }
  }

  /** Says of itself when it is closed, see `forgetHalves`. */
  #socketFactory(): Client.ISocketFactory {
    const { brokers } = this.connection
    const sockets = this.#sockets
    const open = (asked: object): Socket => {
      const { host, ...rest } = asked as AskedSocket
      const seed = brokers.find((_, at) => seedOf(at) === host)
      return sockets.connect({ ...rest, host: seed === undefined ? host : addressOf(seed) })
    }
    return Object.defineProperty(open, 'isClosed', { get: () => sockets.isClosed })
  }

  /** The client's own view of the brokers, which it shows nowhere: groups are all that its consumers know. */
  #clusterOf(retry: Client.RetryOptions): FetchCluster {
    const { Cluster, createLogger } = this.modules
    const { logCreator, logLevel: level, ...options } = this.#options()
    return new Cluster({
      ...options,
      logger: createLogger({ level, logCreator }),
      retry,
      metadataMaxAge: this.connection.settings.metadataMaxAgeMs ?? 60_000,
      allowAutoTopicCreation: false,
      isolationLevel: this.connection.settings.isolation === 'read_uncommitted' ? 0 : 1,
      enforceRequestTimeout: true,
    })
  }
}

/** In the place of an address of IPv6; no host is called so (RFC 6761). */
const seedOf = (at: number): string => `seed-${at}.invalid`
/** `[::1]:9092`: `::1`, and 9092. */
const addressOf = (broker: string): string => broker.slice(1, broker.indexOf(']'))
const portOf = (broker: string): string => broker.slice(broker.lastIndexOf(':') + 1)

/** From 50 ms on, doubled up to 2 s. */
export function retries(seconds: number): Client.RetryOptions {
  return { initialRetryTime: 50, multiplier: 2, factor: 0.2, maxRetryTime: 2000, retries: 5 + Math.ceil(seconds / 2) }
}

/** Settings whose warnings were given: a source opens several connections. */
const told = new WeakSet<object>()
