// Crash tests of the kafka destination. All cases of a scenario load into one topic, each by a pipeline of its own with
// records of its own, so that Kafka's own console consumer, which takes seconds to start, reads all of them back at once: of
// each case the messages, in order, must be the lines of its source, byte for byte. What is in a topic stays there, so that
// whatever readers saw before is a beginning of that.

import { randomBytes } from 'node:crypto'
import { type ConsoleMessage, consoleConsume } from '../support/kafka.ts'
import { sharedKafka } from '../support/services/kafka.ts'
import { differenceOf, stateOf } from './oracle.ts'
import { lines, pipelineFile, ROWS } from './scenario.ts'
import { type Ended, type Execution, until, Workspace } from './workspace.ts'

export interface KafkaScenario {
  readonly title: string
  readonly mode: 'incremental' | 'stream'
  /** Rows that an earlier run has loaded. */
  readonly earlier: number
  /** The run has no end of its own: it is stopped as soon as this many rows are durable. */
  readonly stopAt?: number
  /** What readers may meet between kill and resume besides the old and the new content. */
  readonly meanwhile: 'part of what was added'
}

export const kafkaScenarios = {
  kafkaAppend: { title: 'incremental', mode: 'incremental', earlier: 60, meanwhile: 'part of what was added' },
  kafkaStream: { title: 'stream', mode: 'stream', earlier: 0, stopAt: ROWS, meanwhile: 'part of what was added' },
} satisfies Record<string, KafkaScenario>

/** To the topic in `TOPIC`, with a checkpoint after every page. */
function pipelineOf(name: string, mode: KafkaScenario['mode']): string {
  return pipelineFile({ mode })
    .replace('name: crash', `name: ${name}`)
    .replace(
      /^destination:\n(.*\n)*?(?=engine:)/m,
      `destination:
  name: kafka
  config:
    bootstrap_servers: env://KAFKA
    destination_id: env://TOPIC
    key: "{id}"
    buffer_size: 0
`,
    )
}

export class Case {
  readonly scenario: KafkaScenario
  readonly topic: string
  readonly place: Workspace
  /** Where the ids of its records begin. */
  readonly version: string

  private constructor(scenario: KafkaScenario, topic: string, place: Workspace, version: string) {
    this.scenario = scenario
    this.topic = topic
    this.place = place
    this.version = version
  }

  static async prepare(scenario: KafkaScenario, topic: string): Promise<Case> {
    const version = `${randomBytes(4).toString('hex')}-`
    const { mode, earlier } = scenario
    const place = await Workspace.create({
      'pipeline.yml': pipelineOf(version, mode),
      'source.ndjson': lines(0, earlier || ROWS, version),
    })
    const prepared = new Case(scenario, topic, place, version)
    if (earlier === 0) return prepared
    const { code, stderr } = await prepared.run()
    if (code !== 0) throw new Error(`${scenario.title}: the run before failed: ${stderr}`)
    await place.write({ 'source.ndjson': lines(0, ROWS, version) })
    return prepared
  }

  /** On another host, as it were: with a copy of the state store. */
  async elsewhere(): Promise<Case> {
    return new Case(this.scenario, this.topic, await this.place.copy(), this.version)
  }

  async run(execution: Execution = {}): Promise<Ended> {
    const { plain } = await sharedKafka()
    return this.place.bizon({ ...execution, env: { ...execution.env, KAFKA: plain, TOPIC: this.topic } })
  }

  /** Runs to the scenario's end. */
  async finish(execution: Execution = {}): Promise<Ended> {
    const { stopAt } = this.scenario
    if (stopAt === undefined) return this.run(execution)
    const { epoch } = await stateOf(this.place)
    return this.run({
      ...execution,
      during: async (child) => {
        await execution.during?.(child)
        const reached = async (): Promise<boolean> => {
          const state = await stateOf(this.place)
          return state.epoch > epoch && (state.checkpoints.at(-1)?.rows ?? 0) >= stopAt
        }
        await until(`${stopAt} rows are durable`, reached, child)
        child.kill('SIGTERM')
      },
    })
  }

  /** Complaints about how the run after a kill ends, and what the state store says of it. */
  async resume(program?: string): Promise<string[]> {
    const before = await stateOf(this.place)
    const { code, stderr } = await this.finish(program === undefined ? {} : { program })
    if (code !== (this.scenario.stopAt === undefined ? 0 : 143)) return [`the next run ended with ${code}: ${stderr}`]
    const state = await stateOf(this.place)
    const complaints: string[] = []
    const last = state.checkpoints.at(-1)
    if (last?.end !== (this.scenario.stopAt === undefined)) complaints.push(`the state is at ${JSON.stringify(last)}`)
    if (!(state.epoch > before.epoch)) complaints.push(`the epoch went from ${before.epoch} to ${state.epoch}`)
    return complaints
  }

  /** Kills at each point in turn, each in the run that resumes after the one before, then resumes to the end. */
  async crash(failpoints: readonly string[], program?: string): Promise<string[]> {
    for (const failpoint of failpoints) {
      const execution = { failpoint: `${failpoint}:kill`, ...(program !== undefined && { program }) }
      const { code, signal, stderr } = await this.run(execution)
      if (signal !== 'SIGKILL') return [`${failpoint} did not fire: exit ${code} ${stderr}`]
    }
    return (await this.resume(program)).map((complaint) => `${failpoints.join(', then ')}: ${complaint}`)
  }

  /** Complaints about what the console consumer has of it. */
  complaintsOf(messages: readonly ConsoleMessage[]): string[] {
    const own = messages.filter(({ key }) => key?.startsWith(this.version))
    const found = own.map(({ value }) => `${value}\n`).join('')
    const right = lines(0, ROWS, this.version)
    const complaints = found === right ? [] : [differenceOf(found, right)]
    const runs = new Map<string, number>()
    for (const { headers, value } of own) {
      const id = String(headers.bizon_id)
      const [run, row] = [id.slice(0, 16), Number.parseInt(id.slice(16), 16)]
      if (row !== (runs.get(run) ?? 0)) complaints.push(`${value?.slice(0, 20)} has bizon_id ${id}`)
      runs.set(run, row + 1)
    }
    const loads = this.scenario.earlier > 0 ? 2 : 1
    if (runs.size !== loads) complaints.push(`the messages are of ${runs.size} runs, not ${loads}`)
    return complaints
  }

  remove(): Promise<void> {
    return this.place.remove()
  }
}

/** By case the complaints about what is in their topic. */
export async function lookBack(topic: string, cases: ReadonlyMap<string, Case>): Promise<string[]> {
  const messages = await consoleConsume(topic)
  return [...cases].flatMap(([name, one]) => one.complaintsOf(messages).map((complaint) => `${name}: ${complaint}`))
}
