// A scenario whose two halves have a broker between them: each half run to its end or to the point where it kills itself, and
// what other programs read of it.

import { join } from 'node:path'
import { freshName, queueConfig } from '../support/kafka-queue.ts'
import { type KafkaAddress, sharedKafka } from '../support/services/kafka.ts'
import { prepare } from './kill.ts'
import { complaintsAfter, complaintsBetween, differenceOf, sourceLines, stateOf } from './oracle.ts'
import type { Scenario } from './scenario.ts'
import type { Twin } from './twin.ts'
import { type Ended, type Execution, ROOT, type Workspace } from './workspace.ts'

export type Half = 'extract' | 'load'
export type Programs = Pick<Twin, Half>

const BUILT: Programs = {
  extract: join(ROOT, 'dist/bin/bizon-extract.js'),
  load: join(ROOT, 'dist/bin/bizon-load.js'),
}
const TO = { extract: '--to-queue', load: '--from-queue' } as const

export interface QueuedOptions {
  readonly programs?: Programs | undefined
  /** What stands at `engine.queue`, for a topic or queue of this name. Default: a topic of the shared Kafka. */
  readonly broker?: (name: string) => Promise<object>
  /** Of a Kafka. */
  readonly address?: KafkaAddress
  /** Keys of `queue` for it. */
  readonly queue?: object
  /** Lines of the pipeline file that are others. */
  readonly edit?: (text: string) => string
}

async function kafkaOf(topic: string, { address, queue = {} }: QueuedOptions): Promise<object> {
  const config = queueConfig(topic, address ?? (await sharedKafka()), { linger_ms: 0, ...queue })
  return { type: 'kafka', config }
}

export class Queued {
  readonly place: Workspace
  readonly scenario: Scenario
  readonly #programs: Programs

  constructor(place: Workspace, scenario: Scenario, programs: Programs) {
    this.place = place
    this.scenario = scenario
    this.#programs = programs
  }

  /** The run before was done without a queue. */
  static async prepare(scenario: Scenario, options: QueuedOptions = {}): Promise<Queued> {
    const { programs = BUILT, edit = (text) => text, broker = (name) => kafkaOf(name, options) } = options
    const place = await prepare(scenario)
    const line = `engine:\n  queue: ${JSON.stringify(await broker(freshName()))}\n`
    const text = String(await place.read('pipeline.yml'))
    await place.write({ 'pipeline.yml': edit(text.replace('engine:\n', line)) })
    return new Queued(place, scenario, programs)
  }

  run(half: Half, { failpoint, during, args = ['--quiet'], env = {} }: Execution = {}): Promise<Ended> {
    const command = [process.execPath, this.#programs[half], 'pipeline.yml', TO[half], ...args]
    return this.place.execute(
      command,
      { ...env, ...(failpoint !== undefined && { BIZON_FAILPOINT: failpoint }) },
      during,
    )
  }

  /** Complains when it does not kill itself. */
  async kill(half: Half, failpoint: string): Promise<string[]> {
    const { code, signal, stderr } = await this.run(half, { failpoint: `${failpoint}:kill` })
    return signal === 'SIGKILL' ? [] : [`${failpoint} did not fire: exit ${code} ${stderr}`]
  }

  /** What a reader sees now, what becomes of it when both halves (or the loader alone) are run once more, and what is there then. */
  async finish(halves: readonly Half[]): Promise<string[]> {
    const { place, scenario } = this
    const before = await stateOf(place)
    const isPublished = before.jobs.at(-1)?.status === 'succeeded' && before.jobs.length > (scenario.earlier ? 1 : 0)
    const complaints = await complaintsBetween(place, scenario, before)
    for (const half of halves) {
      const { code, stderr } = await this.run(half)
      if (code !== 0) return [...complaints, `bizon-${half} run again ended with ${code}: ${stderr}`]
    }
    // Whoever finds it published takes no lock, and so clears none away.
    const after = isPublished ? await published(this) : await complaintsAfter(place, scenario, before)
    return [...complaints, ...after]
  }

  async remove(): Promise<void> {
    await this.place.remove()
  }
}

async function published({ place, scenario }: Queued): Promise<string[]> {
  const complaints: string[] = []
  for (const target of scenario.targets) {
    const found = await sourceLines(place, target)
    if (found !== target.after) complaints.push(`${target.path}: ${differenceOf(found, target.after)}`)
  }
  return complaints
}

export async function inQueued(
  scenario: Scenario,
  options: QueuedOptions,
  work: (queued: Queued) => Promise<string[]>,
): Promise<string[]> {
  const queued = await Queued.prepare(scenario, options)
  try {
    return await work(queued)
  } catch (error) {
    // For instance files that the other programs cannot read.
    return [error instanceof Error ? error.message : String(error)]
  } finally {
    await queued.remove()
  }
}

/** Kills the extract there, and runs everything again. */
export function killExtract(scenario: Scenario, failpoint: string, options: QueuedOptions = {}): Promise<string[]> {
  return inQueued(scenario, options, async (queued) => {
    const complaints = await queued.kill('extract', failpoint)
    return complaints.length > 0 ? complaints : queued.finish(['extract', 'load'])
  })
}

/** Kills the load of what waits there, and runs it again. */
export function killLoad(scenario: Scenario, failpoint: string, options: QueuedOptions = {}): Promise<string[]> {
  return inQueued(scenario, options, async (queued) => {
    const { code, stderr } = await queued.run('extract')
    if (code !== 0) return [`the extract ended with ${code}: ${stderr}`]
    const complaints = await queued.kill('load', failpoint)
    return complaints.length > 0 ? complaints : queued.finish(['load'])
  })
}
