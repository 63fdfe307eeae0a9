// Throw-away brokers of Kafka, one node each, from Maven Central. Tests share one, which the first of them starts and the
// set-up of the whole run ends (see set-up.ts); a test that kills its broker has one to itself.
//
// It listens four times, always on loopback: as it comes (everything is allowed), and by password, by TLS with a password,
// by TLS with a certificate. Who is who, and what they may do: USERS.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { makeCertificates } from './certificates.ts'
import { JAVA_OPTIONS, jarsOf } from './jars.ts'
import { freePort } from './ports.ts'
import { ServerProcess } from './process.ts'
import { serverFolder, sharedAddress } from './shared.ts'

const run = promisify(execFile)
const VERSION = '4.4.0'

/** Each signs in by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512. `alice` may do everything, `mallory` nothing. */
export const USERS = { alice: 'alice-secret', mallory: 'mallory-secret' } as const

export interface KafkaAddress {
  /** Without anything. */
  readonly plain: string
  /** SASL_PLAINTEXT: PLAIN, SCRAM, and OAUTHBEARER with tokens that nobody signed. */
  readonly sasl: string
  /** SASL_SSL: the same mechanisms, below TLS. */
  readonly saslTls: string
  /** SSL: who has no certificate is refused. */
  readonly tls: string
  /** PEM files: the authority that signed the broker, a client's certificate and its key. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export class KafkaServer {
  readonly folder: string
  readonly port: number
  readonly #process: ServerProcess

  private constructor(folder: string, port: number) {
    this.folder = folder
    this.port = port
    this.#process = new ServerProcess(folder, 'kafka')
  }

  static async create(): Promise<KafkaServer> {
    return KafkaServer.at(await serverFolder('kafka'), await freePort(LISTENERS.length))
  }

  /** With the data that is in the folder, if there is any. Takes this port and the three after it. */
  static async at(folder: string, port: number): Promise<KafkaServer> {
    const server = new KafkaServer(folder, port)
    await server.start()
    return server
  }

  /** Started again after a kill it has the same address and data. Settings given here are for this start. */
  async start(given: Readonly<Record<string, string>> = {}): Promise<void> {
    const properties = join(this.folder, 'server.properties')
    await makeCertificates(this.folder)
    await writeFile(properties, asProperties({ ...settingsOf(this.folder, this.port), ...given }))
    const isFormatted = await access(join(this.folder, 'data', 'meta.properties')).then(
      () => true,
      () => false,
    )
    if (!isFormatted) await format(properties)
    const port = this.port
    await this.#process.start({
      command: 'java',
      args: [...(await javaOptions()), '-Xms64m', '-Xmx512m', 'kafka.Kafka', properties],
      env: ENV,
      isReady: () => isReady(port).catch(() => false),
    })
  }

  get address(): KafkaAddress {
    return addressOf(this.folder, this.port)
  }

  /** As an operator or the kernel would: nothing is finished. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#process.kill(signal)
  }

  /** Goes on with SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal)
  }

  async remove(): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }
}

let shared: Promise<KafkaAddress> | undefined

/** Of the broker that all tests share. The first of all processes to ask starts it. */
export function sharedKafka(): Promise<KafkaAddress> {
  shared ??= sharedAddress('kafka', async () => (await KafkaServer.create()).address)
  return shared
}

const LISTENERS = ['PLAINTEXT', 'SASL_PLAINTEXT', 'SASL_SSL', 'SSL'] as const

function addressOf(folder: string, port: number): KafkaAddress {
  const at = (listener: (typeof LISTENERS)[number]): string => `127.0.0.1:${port + LISTENERS.indexOf(listener)}`
  return {
    plain: at('PLAINTEXT'),
    sasl: at('SASL_PLAINTEXT'),
    saslTls: at('SASL_SSL'),
    tls: at('SSL'),
    ca: join(folder, 'ca.pem'),
    cert: join(folder, 'client.pem'),
    key: join(folder, 'client.key'),
  }
}

const ENV = { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC' }

function settingsOf(folder: string, port: number): Readonly<Record<string, string>> {
  const listeners = LISTENERS.map((name, i) => `${name}://127.0.0.1:${port + i}`)
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    // The controller's port may be any: nobody else has to know it.
    listeners: [...listeners, 'CONTROLLER://127.0.0.1:0'].join(','),
    'advertised.listeners': listeners.join(','),
    'listener.security.protocol.map': [...LISTENERS.map((name) => `${name}:${name}`), 'CONTROLLER:PLAINTEXT'].join(','),
    'inter.broker.listener.name': 'PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.bootstrap.servers': '127.0.0.1:0',
    'log.dirs': join(folder, 'data'),
    // One broker, so one replica of everything, and few partitions to load.
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    'auto.create.topics.enable': 'false',
    // Tests should not wait.
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': '1000',
    // After a kill the old registration must lapse before the broker is let in again.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    // Takes 128 MB else.
    'log.cleaner.dedupe.buffer.size': '4194304',
    ...securityOf(folder),
  }
}

function securityOf(folder: string): Readonly<Record<string, string>> {
  const sasl = ['sasl_plaintext', 'sasl_ssl'].flatMap((listener) => {
    const module = (mechanism: string, login: string): [string, string] => [
      `listener.name.${listener}.${mechanism}.sasl.jaas.config`,
      `org.apache.kafka.common.security.${login} required`,
    ]
    const users = Object.entries(USERS).map(([name, password]) => `user_${name}="${password}"`)
    return [
      [`listener.name.${listener}.sasl.enabled.mechanisms`, 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER'],
      module('plain', 'plain.PlainLoginModule'),
      module('scram-sha-256', 'scram.ScramLoginModule'),
      module('scram-sha-512', 'scram.ScramLoginModule'),
      module('oauthbearer', 'oauthbearer.OAuthBearerLoginModule'),
    ].map(([name, value]): [string, string] => [
      String(name),
      `${value}${name?.includes('.plain.') ? ` ${users.join(' ')}` : ''}${name?.endsWith('jaas.config') ? ';' : ''}`,
    ])
  })
  return {
    ...Object.fromEntries(sasl),
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': join(folder, 'server.keystore.pem'),
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': join(folder, 'ca.pem'),
    'listener.name.ssl.ssl.client.auth': 'required',
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:ANONYMOUS;User:alice;User:CN=client',
  }
}

const asProperties = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')

async function format(properties: string): Promise<void> {
  const scram = Object.entries(USERS).flatMap(([name, password]) =>
    ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
      '--add-scram',
      `${mechanism}=[name=${name},password=${password}]`,
    ]),
  )
  // One that begins with a dash would be taken for an option.
  const cluster = Buffer.concat([Buffer.of(0), randomBytes(15)]).toString('base64url')
  const args = ['format', '--standalone', '--cluster-id', cluster, '--config', properties, ...scram]
  await kafkaProgram('kafka.tools.StorageTool', args)
}

async function javaOptions(): Promise<readonly string[]> {
  const jars = await jarsOf(`kafka-${VERSION}`, [
    `org.apache.kafka:kafka_2.13:${VERSION}`,
    `org.apache.kafka:kafka-tools:${VERSION}`,
    // Else nothing is logged, not even why a broker stopped.
    'org.slf4j:slf4j-simple:1.7.36',
  ])
  return [...JAVA_OPTIONS, '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', join(jars, '*')]
}

/** How one of the programs that come with the broker is called, by the name of its class. */
export async function kafkaCommand(
  name: string,
  args: readonly string[],
): Promise<{ command: string; args: readonly string[]; env: NodeJS.ProcessEnv }> {
  return { command: 'java', args: [...(await javaOptions()), '-Xmx256m', name, ...args], env: ENV }
}

/** Resolves to what it printed. */
export async function kafkaProgram(name: string, args: readonly string[]): Promise<string> {
  const call = await kafkaCommand(name, args)
  const { stdout } = await run(call.command, call.args, { env: call.env, maxBuffer: 1 << 28 })
  return stdout
}

/**
 * Whether it lists itself as a broker and finds the coordinators of a group and of a transaction, which also makes the two
 * topics that these need: the first consumer of a test would else be told that there is none.
 */
async function isReady(port: number): Promise<boolean> {
  const metadata = await ask(port, '\0\0\0\x0e\0\x03\0\0\0\0\0\x01\xff\xff\0\0\0\0', 12)
  if (metadata.readInt32BE(8) < 1) return false
  const group = await ask(port, '\0\0\0\x0d\0\x0a\0\0\0\0\0\x01\xff\xff\0\x01w', 10)
  if (group.readInt16BE(8) !== 0) return false
  const transaction = await ask(port, '\0\0\0\x0e\0\x0a\0\x01\0\0\0\x01\xff\xff\0\x01w\x01', 14)
  return transaction.readInt16BE(12) === 0
}

/** The first bytes of its answer. */
function ask(port: number, request: string, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.from(request, 'latin1')))
    let answer = Buffer.alloc(0)
    socket.setTimeout(2000, () => socket.destroy(new Error('no answer')))
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length < length) return
      socket.destroy()
      resolve(answer)
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed')))
  })
}
