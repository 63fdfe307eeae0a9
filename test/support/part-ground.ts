// A stream in partitions with a broker in memory, and loaders of this process that write to one table of a real PostgreSQL.

import { setTimeout as pause } from 'node:timers/promises'
import * as z from 'zod'
import postgres from '../../connectors/destinations/postgres.ts'
import { defineBroker, type Message } from '../../lib/channel.ts'
import { loadConfig, type PipelineConfig } from '../../lib/config.ts'
import type { DestinationDefinition } from '../../lib/destination.ts'
import type { Outcome } from '../../lib/events.ts'
import { extract } from '../../lib/extract.ts'
import { type LoadQueueOptions, loadQueue } from '../../lib/pipe/queue/load.ts'
import { readHead } from '../../lib/pipe/queue/message.ts'
import { extractTo } from '../../lib/pipe/to.ts'
import type { SourceDefinition } from '../../lib/source.ts'
import { PartitionedBroker } from './memory-group.ts'
import { storeConfig } from './postgres-store.ts'
import { psql } from './services/postgres.ts'
import { scriptedSource } from './shelf.ts'

/** What psql answers, line by line. */
export const linesOf = async (url: string, sql: string): Promise<string[]> =>
  (await psql(url, sql)).split('\n').slice(0, -1)

/** Those of the records in a table, in order. */
export const numbersIn = async (url: string, table = 'main'): Promise<number[]> =>
  (await linesOf(url, `SELECT source_data->>'n' FROM ${table} ORDER BY (source_data->>'n')::int`)).map(Number)

export interface PartGround {
  readonly url: string
  readonly mode: string
  readonly partitions?: number
  readonly pages?: number[]
  readonly source?: SourceDefinition
  /** Keys of the destination. */
  readonly keys?: object
  readonly destination?: DestinationDefinition
  readonly verify?: boolean
}

export class Parts {
  readonly broker: PartitionedBroker
  readonly #given: PartGround

  constructor(given: PartGround) {
    this.#given = given
    this.broker = new PartitionedBroker(given.partitions ?? 3)
  }

  /** `queue`: as of a file that names the broker. */
  async config(
    more: object = {},
    queue: object = { type: 'python_queue' },
    ofSource: object = {},
  ): Promise<PipelineConfig> {
    const { url, mode, keys, source, pages = [5, 0, 7, 3], destination = postgres, verify = false } = this.#given
    const stream = { primaryKey: ['n'] }
    const ending = mode === 'stream' ? 'return' : 'null'
    const { server, database, schema } = storeConfig(url)
    const config = await loadConfig(
      {
        name: 'test',
        verify,
        source: { name: 'scripted', stream: 'numbers', sync_mode: mode, ...ofSource },
        destination: {
          name: 'postgres',
          config: { url, sslmode: 'disable', destination_id: 'main', ...keys, ...more },
        },
        engine: {
          queue,
          backend: {
            type: 'postgres',
            config: { ...server, database, schema, syncCursorInDBEvery: 1 },
          },
        },
      },
      ['source', 'destination'],
      {},
      {
        sources: { scripted: async () => ({ default: source ?? scriptedSource({ pages, stream, ending }) }) },
        destinations: { postgres: async () => ({ default: destination as never }) },
        stores: { postgres: () => import('../../connectors/stores/postgres.ts') },
        queues: {
          kafka: async () => ({
            default: defineBroker({
              summary: 'In memory.',
              config: z.object({}),
              connect: () => ({ ...this.broker.channel(), waiting: async () => this.broker.waiting }),
            }),
          }),
          python_queue: () => import('../../connectors/queues/memory.ts'),
        },
      },
    )
    return config as PipelineConfig
  }

  /** `startOver`: as `force_ignore_checkpoint` does. */
  async extract({ ignoresWaiting = false, startOver = false, reset = false } = {}): Promise<void> {
    const more = { ...(startOver && { force_ignore_checkpoint: true }), ...(reset && { reset }) }
    const config = await this.config({}, undefined, more)
    await extractTo(extract(config), { channel: this.broker.channel(), ignoresWaiting })
  }

  async load(options: LoadQueueOptions = {}, more: object = {}): Promise<Outcome> {
    return loadQueue(this.broker.channel(), await this.config(more), options)
  }

  /** Of these partitions, or of all, nothing comes behind so many pages until what is returned is called. */
  hold(pages: number, of?: readonly number[]): () => void {
    const held = this.broker.partitions.map((one, index) => {
      const isBehind = (message: Message): boolean => (readHead({ ...message, place: '' })?.from ?? 0) >= pages
      const at = one.messages.findIndex((message) => message.offset > one.acknowledged && isBehind(message))
      return at < 0 || of?.includes(index) === false ? [] : one.messages.splice(at)
    })
    return () => {
      for (const [index, messages] of held.entries()) this.broker.partitions[index]?.add(messages)
    }
  }

  /** Loads until all of them have got as far as this, then is stopped. */
  async loadUntil(isSo: () => boolean | Promise<boolean>, options: LoadQueueOptions = {}): Promise<Outcome> {
    const stop = new AbortController()
    const loading = this.load({ ...options, stop: stop.signal })
    const failed = loading.then(
      () => true,
      () => true,
    )
    while (!(await isSo()) && !(await Promise.race([failed, pause(20)]))) {}
    stop.abort(new Error('enough'))
    return loading
  }

  /** A stream has no end: stopped once all that waits is loaded. */
  async drain(...loads: ((options: LoadQueueOptions) => Promise<unknown>)[]): Promise<void> {
    const stop = new AbortController()
    const all = Promise.all(
      loads.map((load) =>
        load({ stop: stop.signal }).catch((error: unknown) => {
          if (error !== stop.signal.reason) throw error
        }),
      ),
    )
    const isDrained = (): boolean =>
      this.broker.partitions.every((one) => one.isIdle && one.acknowledged >= one.messages.length - 1)
    const failed = all.then(
      () => true,
      () => true,
    )
    while (!isDrained() && !(await Promise.race([failed, pause(20)]))) {}
    stop.abort(new Error('drained'))
    await all
  }
}
