// A stream from a topic in several partitions into a table, as it runs for days: bursts, silences, and a broker that is killed and
// comes back with its data. What the one process that loads uses is read from /proc; sqlite3 compares what is there with what was sent.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import Database from 'better-sqlite3'
import { createTopic, produce } from '../support/kafka.ts'
import { cpuOf, memoryOf, openFilesOf, wakeupsOf } from '../support/proc.ts'
import { KafkaServer, sharedKafka } from '../support/services/kafka.ts'
import { BIZON, until, Workspace } from './workspace.ts'

export interface SoakOptions {
  readonly seconds: number
  /** Messages of the bursts, of a kilobyte each, one after another and then from the first again. */
  readonly bursts: readonly number[]
  /** For how long it is silent between them. */
  readonly silenceSeconds: number
  /** How often the broker is killed, which is then nobody else's. */
  readonly restarts: number
  readonly program?: string
}

export interface Soak {
  readonly sent: number
  readonly restarts: number
  /** The most that it took in each round, in MiB, and the files and sockets that it had open at the end of it. */
  readonly memory: readonly number[]
  readonly openFiles: readonly number[]
  /** In each silence: of one core, and how often a second the main thread woke up. */
  readonly idle: readonly number[]
  readonly wakeups: readonly number[]
  /** From when a message is sent after a silence until a reader sees its row, in ms. */
  readonly latencies: readonly number[]
  readonly code: number | null
  /** The end of what it said, and how often it has warned. */
  readonly said: string
  readonly warnings: number
  /** Rows; different messages; rows that are not as they were sent. */
  readonly content: string
}

const PARTITIONS = 4
const TEXT_BYTES = 1000
/** What the broker takes in one request. */
const CHUNK = 2000
/** So long that a message which has to wait for it is noticed. */
const POLL_SECONDS = 10
const LOOK_MS = 100
/** What is still to be done behind the last row of a burst: a checkpoint that is told, memory that is given back. */
const SETTLE_MS = 500

export async function soak(options: SoakOptions): Promise<Soak> {
  const broker = options.restarts > 0 ? await KafkaServer.create() : undefined
  const { plain } = broker?.address ?? (await sharedKafka())
  const topic = `soak-${randomBytes(8).toString('hex')}`
  const place = await Workspace.create({ 'pipeline.yml': pipeline(topic, plain) })
  try {
    await createTopic(topic, { partitions: PARTITIONS, at: { plain } })
    return await new Soaking(options, { broker, plain, topic, place }).run()
  } finally {
    await place.remove()
    await broker?.remove()
  }
}

const pipeline = (topic: string, plain: string): string =>
  JSON.stringify({
    name: 'soak',
    source: {
      name: 'kafka',
      stream: 'topic',
      sync_mode: 'stream',
      bootstrap_servers: plain,
      group_id: topic,
      topics: [{ name: topic }],
      message_encoding: 'utf-8',
      consumer_timeout: POLL_SECONDS,
    },
    destination: { name: 'sqlite', config: { path: 'data.sqlite3', destination_id: 'records' } },
    engine: { backend: { type: 'sqlite', config: { database: 'state', schema: '' } }, runner: { type: 'stream' } },
  })

interface Ground {
  readonly broker: KafkaServer | undefined
  readonly plain: string
  readonly topic: string
  readonly place: Workspace
}

class Soaking {
  readonly #options: SoakOptions
  readonly #ground: Ground
  readonly #memory: number[] = []
  readonly #openFiles: number[] = []
  readonly #idle: number[] = []
  readonly #wakeups: number[] = []
  readonly #latencies: number[] = []
  #sent = 0
  #restarts = 0
  #reader: Database.Database | undefined

  constructor(options: SoakOptions, ground: Ground) {
    this.#options = options
    this.#ground = ground
  }

  async run(): Promise<Soak> {
    const { program = BIZON } = this.#options
    const { place } = this.#ground
    const child = spawn(process.execPath, [program, 'run', 'pipeline.yml', '--quiet'], {
      cwd: place.folder,
      env: { PATH: process.env.PATH, LANG: 'C.UTF-8', TZ: 'UTC' },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let [said, warnings] = ['', 0]
    child.stderr.on('data', (chunk: Buffer) => {
      said = `${said}${chunk}`.slice(-4000)
      warnings += String(chunk).split('WARNING').length - 1
    })
    const ended = new Promise<number | null>((done) => child.on('close', done))
    try {
      await this.#rounds(child)
    } catch (error) {
      throw new Error(`${error} after ${this.#latencies.length} rounds: ${said}`)
    } finally {
      this.#reader?.close()
      child.kill('SIGTERM')
      await Promise.race([ended, sleep(20_000)])
      child.kill('SIGKILL')
    }
    return {
      sent: this.#sent,
      restarts: this.#restarts,
      memory: this.#memory,
      openFiles: this.#openFiles,
      idle: this.#idle,
      wakeups: this.#wakeups,
      latencies: this.#latencies,
      code: await ended,
      said,
      warnings,
      content: await this.#content(),
    }
  }

  async #rounds(child: ChildProcess): Promise<void> {
    const { seconds, bursts, restarts } = this.#options
    await this.#send(1)
    await until('the table is there', async () => this.#isVisible(1), child)
    const [begun, span] = [performance.now(), seconds * 1000]
    for (let round = 0; ; round++) {
      const spent = performance.now() - begun
      const isDue = this.#restarts < restarts && spent > ((this.#restarts + 0.5) / restarts) * span
      if (spent > span && !isDue) break
      await this.#round(child, bursts[round % bursts.length] ?? 0, isDue)
    }
  }

  async #round(child: ChildProcess, burst: number, isRestart: boolean): Promise<void> {
    const pid = child.pid as number
    let most = 0
    const working = setInterval(async () => {
      most = Math.max(most, await memoryOf(pid).catch(() => 0))
    }, LOOK_MS)
    try {
      await this.#send(burst)
      if (isRestart) await this.#restart()
      await until(`${this.#sent} rows are visible`, async () => this.#isVisible(this.#sent), child)
    } finally {
      clearInterval(working)
    }
    await sleep(SETTLE_MS)
    const { silenceSeconds } = this.#options
    const [used, woken] = [await cpuOf(pid), await wakeupsOf(pid)]
    await sleep(silenceSeconds * 1000)
    this.#idle.push(((await cpuOf(pid)) - used) / silenceSeconds)
    this.#wakeups.push(((await wakeupsOf(pid)) - woken) / silenceSeconds)
    this.#latencies.push(await this.#latency(child))
    this.#openFiles.push(await openFilesOf(pid))
    this.#memory.push(Math.max(most, await memoryOf(pid)))
  }

  async #latency(child: ChildProcess): Promise<number> {
    await this.#send(1)
    // The broker has it.
    const sentAt = performance.now()
    await until('one row more is visible', async () => this.#isVisible(this.#sent), child)
    return performance.now() - sentAt
  }

  /** In turn to each partition. Resolves once the broker has them. */
  async #send(count: number): Promise<void> {
    const { topic, plain } = this.#ground
    for (const end = this.#sent + count; this.#sent < end; ) {
      const from = this.#sent
      const messages = Array.from({ length: Math.min(CHUNK, end - from) }, (_, i) => ({
        partition: (from + i) % PARTITIONS,
        value: `{"n":${from + i},"text":"${String(from + i).padStart(TEXT_BYTES, '0')}"}`,
      }))
      await produce(topic, messages, { at: { plain } })
      this.#sent += messages.length
    }
  }

  async #restart(): Promise<void> {
    await this.#ground.broker?.kill()
    this.#restarts += 1
    await this.#ground.broker?.start()
  }

  /** Rows are only added, so that the last one's number says how many there are. */
  #isVisible(rows: number): boolean {
    try {
      this.#reader ??= new Database(this.#ground.place.path('data.sqlite3'), { readonly: true, fileMustExist: true })
      return Number(this.#reader.prepare('SELECT max(rowid) FROM records').pluck().get()) >= rows
    } catch {
      return false // there is no such file yet, or no such table
    }
  }

  async #content(): Promise<string> {
    const { place, topic } = this.#ground
    const own = `SELECT source_data ->> '$.value.n' AS n, * FROM records`
    const right = `source_data ->> '$.topic' = '${topic}' AND source_data ->> '$.partition' = n % ${PARTITIONS}
      AND source_data ->> '$.offset' = n / ${PARTITIONS} AND source_data ->> '$.value.text' = printf('%0${TEXT_BYTES}d', n)`
    const rows = `SELECT count(*), count(DISTINCT n), sum(NOT coalesce(${right}, 0)) FROM (${own})`
    const { stdout } = await promisify(execFile)('sqlite3', ['-batch', place.path('data.sqlite3'), rows])
    return stdout.trim()
  }
}

/**
 * What one fetch, one page and the collector's young generation take at one moment and not at another; what comes in each half
 * of a soak is more than that.
 */
const MORE_MIB = 32
/** Of one core, of which it is a hundredth, a machine that is slow and busy allowed for. */
const IDLE = 0.05
/** The client looks ten times a second for requests that take too long, on each of two connections. */
const WAKEUPS = 100
/** Far below what an idle stream waits at the broker, far above what a busy machine takes. */
const LATENCY_MS = (POLL_SECONDS * 1000) / 2

/** What is wrong; nothing: all is well. */
export function complaintsOf(soak: Soak): string[] {
  const { sent, content, code, memory, openFiles, idle, wakeups, latencies, warnings, restarts } = soak
  const right = `${sent}|${sent}|0`
  const half = memory.length >> 1
  const more = medianOf(memory.slice(half)) - medianOf(memory.slice(0, half))
  const facts: readonly (readonly [isRight: boolean, complaint: string])[] = [
    [content === right, `the table has ${content}, not ${right}`],
    [code === 143, `it ended with ${code}`],
    [more <= MORE_MIB, `it takes ${Math.round(more)} MiB more in the second half: ${memory.map(Math.round)}`],
    [Math.max(...openFiles.slice(half)) <= Math.max(...openFiles.slice(0, half)), `it holds open ${openFiles} files`],
    [meanOf(idle) <= IDLE, `idle it uses ${idle} of a core`],
    [meanOf(wakeups) <= WAKEUPS, `idle it wakes up ${wakeups} times a second`],
    [warnings <= restarts, `it warned ${warnings} times of ${restarts} brokers that went away`],
    [Math.max(...latencies) <= LATENCY_MS, `a message takes ${latencies.map(Math.round)} ms`],
  ]
  return facts.flatMap(([isRight, complaint]) => (isRight ? [] : [complaint]))
}

const meanOf = (numbers: readonly number[]): number => numbers.reduce((sum, n) => sum + n, 0) / numbers.length
const medianOf = (numbers: readonly number[]): number =>
  [...numbers].sort((one, other) => one - other)[numbers.length >> 1] ?? Number.NaN
