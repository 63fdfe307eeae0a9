// A run from extract through a broker of its own and three loaders into PostgreSQL, while all of them are killed and other loaders come
// and go. psql compares what is there with what was given, row by row.

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { backendOf } from '../support/postgres-store.ts'
import { KafkaServer, sharedKafka } from '../support/services/kafka.ts'
import { freshDatabase, psql } from '../support/services/postgres.ts'
import { ROOT, Workspace } from './workspace.ts'

export interface StormOptions {
  readonly rows: number
  /** From 0 to 1. */
  readonly random: () => number
  readonly partitions: number
  /** How often each part is killed. */
  readonly kills: number
  /** Whether the broker is one of them, and nobody else's. */
  readonly ownsBroker: boolean
  /** For how long, in seconds at most, a loader comes that does not stay. */
  readonly visitSeconds: number
  readonly limitSeconds: number
}

export interface Storm {
  readonly seconds: number
  /** How processes ended that were not killed, and what they said last. */
  readonly ends: readonly string[]
  readonly kills: { readonly extract: number; readonly loaders: readonly number[]; readonly broker: number }
  readonly visitors: number
  /** Most memory in use by each of the loaders that stay, in MiB. */
  readonly peaks: readonly number[]
  /** Rows; different numbers; their sum; rows that should not be there; rows that are missing. */
  readonly content: string
}

const LOADERS = 3
const PAGE_BYTES = 64 << 10
const LOOK_MS = 300

export async function storm(options: StormOptions): Promise<Storm> {
  const broker = options.ownsBroker ? await KafkaServer.create() : undefined
  const { plain } = broker?.address ?? (await sharedKafka())
  const { url } = await freshDatabase()
  const place = await Workspace.create({ 'pipeline.yml': pipeline(url, plain, options.partitions) })
  try {
    const bytes = await writeSource(place.path('source.ndjson'), options.rows)
    return await new Weather(options, { broker, url, place, pages: Math.ceil(bytes / PAGE_BYTES) }).pass()
  } finally {
    await place.remove()
    await broker?.remove()
  }
}

const pipeline = (url: string, broker: string, partitions: number): string => `name: storm
source: {name: file, stream: numbers, sync_mode: full_refresh, path: source.ndjson, id_field: n, page_bytes: ${PAGE_BYTES}}
destination:
  name: postgres
  config: {url: "${url}", sslmode: disable, destination_id: main, buffer_size: 1, reconnect_timeout: 5}
engine:
  ${backendOf(url)}
  queue:
    type: kafka
    config:
      queue: {bootstrap_server: "${broker}", topic: storm-${randomBytes(6).toString('hex')}, partitions: ${partitions}, message_bytes: 65536}
      consumer: {group_id: storm-${randomBytes(6).toString('hex')}, session_timeout_ms: 3000}
`

async function writeSource(path: string, rows: number): Promise<number> {
  const file = createWriteStream(path)
  for (let n = 0; n < rows; n++) {
    const text = createHash('md5').update(String(n)).digest('hex')
    if (!file.write(`{"n":${n},"text":"${text}"}\n`))
      await new Promise<void>((done) => file.once('drain', () => done()))
  }
  await new Promise<void>((done) => file.end(() => done()))
  return file.bytesWritten
}

interface Ground {
  readonly broker: KafkaServer | undefined
  readonly url: string
  readonly place: Workspace
  readonly pages: number
}

class Weather {
  readonly #options: StormOptions
  readonly #ground: Ground
  readonly #over = new AbortController()
  readonly #loaders: (ChildProcess | undefined)[] = Array.from({ length: LOADERS })
  readonly #alive = new Set<ChildProcess>()
  readonly #ends: string[] = []
  readonly #kills = { extract: 0, loaders: Array.from({ length: LOADERS }, () => 0), broker: 0 }
  readonly #peaks = Array.from({ length: LOADERS }, () => 0)
  #visitors = 0

  constructor(options: StormOptions, ground: Ground) {
    this.#options = options
    this.#ground = ground
  }

  async pass(): Promise<Storm> {
    const startedAt = performance.now()
    const late = sleep(this.#options.limitSeconds * 1000, undefined, { signal: this.#over.signal }).then(
      () => this.#over.abort(new Error('it is not over')),
      () => {},
    )
    try {
      await Promise.all([
        this.#extract(),
        ...this.#loaders.map((_, at) => this.#loader(at)),
        this.#visits(),
        this.#watch(),
        late,
      ])
    } finally {
      this.#over.abort()
      for (const child of this.#alive) child.kill('SIGKILL')
    }
    const [kills, peaks, visitors] = [this.#kills, this.#peaks, this.#visitors]
    const seconds = (performance.now() - startedAt) / 1000
    return { seconds, ends: this.#ends, kills, visitors, peaks, content: await this.#content() }
  }

  get #isOver(): boolean {
    return this.#over.signal.aborted
  }

  /** Again and again until it has ended well; killed behind so many pages that there are some left each time. */
  async #extract(): Promise<void> {
    const { random, kills } = this.#options
    const most = Math.floor((2 * this.#ground.pages) / (kills + 1)) - 2
    while (!this.#isOver) {
      const isDoomed = this.#kills.extract < kills
      const point = `pipe.after@${2 + Math.floor(random() * most)}:kill`
      const { code, signal } = await this.#start('bizon-extract.js', '--to-queue', isDoomed ? point : undefined)
      if (code === 0) return
      if (signal === 'SIGKILL') this.#kills.extract += 1
    }
  }

  async #loader(at: number): Promise<void> {
    while (!this.#isOver) {
      const { code } = await this.#start('bizon-load.js', '--from-queue', undefined, (child) => {
        this.#loaders[at] = child
      })
      if (code === 0) return
    }
  }

  /** Loaders that come, and go before the end: in order, or killed. */
  async #visits(): Promise<void> {
    const { random, visitSeconds } = this.#options
    while (!this.#isOver) {
      await this.#pause(random() * visitSeconds)
      if (this.#isOver) return
      this.#visitors += 1
      await this.#start('bizon-load.js', '--from-queue', undefined, (child) => {
        const goodbye = random() < 0.5 ? 'SIGTERM' : 'SIGKILL'
        void this.#pause((0.5 + random() / 2) * visitSeconds).then(() => child.kill(goodbye))
      })
    }
  }

  /** Kills once so many rows are durable; ends when all partitions are published. */
  async #watch(): Promise<void> {
    const { rows, random, kills, partitions } = this.#options
    const targets = [...this.#loaders.map((_, at) => at), ...(this.#ground.broker ? (['broker'] as const) : [])]
    const due = targets
      .flatMap((target) =>
        Array.from({ length: kills }, (_, nth) => ({ target, at: (0.05 + ((nth + random()) * 0.85) / kills) * rows })),
      )
      .sort((one, other) => one.at - other.at)
    while (!this.#isOver) {
      await this.#measure()
      const { loaded, published } = await this.#progress()
      const next = due[0]
      if (next && loaded >= next.at) {
        due.shift()
        await this.#kill(next.target)
      }
      if (published === partitions) break
      await this.#pause(LOOK_MS / 1000)
    }
    // Who was started since has nothing to wait for.
    await this.#pause(2)
    this.#over.abort()
    for (const child of this.#alive) child.kill('SIGTERM')
  }

  async #kill(target: number | 'broker'): Promise<void> {
    if (target !== 'broker') {
      if (this.#loaders[target]?.kill('SIGKILL')) (this.#kills.loaders[target] as number) += 1
      return
    }
    await this.#ground.broker?.kill()
    this.#kills.broker += 1
    await this.#ground.broker?.start()
  }

  async #measure(): Promise<void> {
    for (const [at, loader] of this.#loaders.entries()) {
      const status = await readFile(`/proc/${loader?.pid}/status`, 'utf8').catch(() => '')
      const peak = Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024
      this.#peaks[at] = Math.max(this.#peaks[at] ?? 0, Math.round(peak))
    }
  }

  async #progress(): Promise<{ loaded: number; published: number }> {
    const [loaded, published] = (
      await psql(
        this.#ground.url,
        `SELECT coalesce(sum((checkpoint->>'rows')::bigint), 0), count(*) FILTER (WHERE phase = 'published')
         FROM _bizon_state WHERE owner IS NULL`,
      ).catch(() => '0|0')
    ) // there is no such table yet
      .trim()
      .split('|')
      .map(Number)
    return { loaded: loaded ?? 0, published: published ?? 0 }
  }

  async #content(): Promise<string> {
    const here = `SELECT (source_data->>'n')::int AS n, source_data->>'text' AS text FROM main`
    const there = `SELECT n, md5(n::text) FROM generate_series(0, ${this.#options.rows - 1}) AS n`
    const text = await psql(
      this.#ground.url,
      `SELECT count(*), count(DISTINCT n), sum(n), (SELECT count(*) FROM (${here} EXCEPT ALL ${there}) AS more),
        (SELECT count(*) FROM (${there} EXCEPT ALL ${here}) AS fewer) FROM (${here}) AS main`,
    )
    return text.trim()
  }

  async #pause(seconds: number): Promise<void> {
    await sleep(seconds * 1000, undefined, { signal: this.#over.signal }).catch(() => {})
  }

  async #start(
    program: string,
    option: string,
    failpoint?: string,
    started: (child: ChildProcess) => void = () => {},
  ): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const child = spawn(process.execPath, [join(ROOT, 'dist', 'bin', program), 'pipeline.yml', option, '--quiet'], {
      cwd: this.#ground.place.folder,
      env: { PATH: process.env.PATH, LANG: 'C.UTF-8', TZ: 'UTC', ...(failpoint && { BIZON_FAILPOINT: failpoint }) },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (chunk) => {
      said = `${said}${chunk}`.slice(-1000)
    })
    this.#alive.add(child)
    started(child)
    const ended = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((done) =>
      child.on('close', (code, signal) => done({ code, signal })),
    )
    this.#alive.delete(child)
    if (ended.signal === null) this.#ends.push(`${program} ${ended.code} ${said.trim()}`)
    return ended
  }
}

/** What `content` is when all is well. */
export const exactly = (rows: number): string => `${rows}|${rows}|${(rows * (rows - 1)) / 2}|0|0`
