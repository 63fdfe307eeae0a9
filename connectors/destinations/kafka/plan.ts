// What a run would find in its topics, and do: read as `open` reads it, and nobody is fenced, nothing sent or made.

import type { DestinationPlan, PlannedChange, Run } from '../../../lib/destination.ts'
import type { Log } from '../../../lib/log.ts'
import type { KafkaClient } from '../../kafka.ts'
import { refuseNewer } from '../recovery.ts'
import type { KafkaOptions } from './config.ts'
import { countedOn, missingTopic, recover } from './recover.ts'
import type { StateTopic } from './state.ts'

interface Planned {
  readonly client: KafkaClient
  readonly options: Pick<KafkaOptions, 'state_topic' | 'create_topics'>
  readonly target: string
  readonly topic: StateTopic
  readonly run: Run
  readonly log: Log
}

export async function planTopics(planned: Planned, signal: AbortSignal): Promise<DestinationPlan> {
  const { client, options, target, topic, run } = planned
  const topics = new Set(await client.topics(signal))
  const changes: PlannedChange[] = []
  if (!topics.has(options.state_topic)) {
    changes.push({ target: `topic ${options.state_topic}`, action: 'create', reason: 'for the checkpoints' })
  } else await topic.check(client, planned.log, signal)
  const found = topics.has(options.state_topic) ? await topic.read(client, signal) : undefined
  if (found) refuseNewer(found, run, { state: topic.place, removing: 'remove the record' })
  const state = recover(found, run, { target, place: topic.place })
  for (const one of countedOn(found, state, run)) if (!topics.has(one)) throw missingTopic(one, run)
  const durable = state.checkpoint ?? (run.mode === 'stream' ? run.stored : undefined)
  if (state.phase === 'published' && run.mode !== 'stream') return { durable, changes: [] }
  for (const one of new Set([target, ...Object.keys(state.topics)])) {
    const name = `topic ${one}`
    if (!topics.has(one) && options.create_topics) {
      changes.push({ target: name, action: 'create', reason: 'with the partitions that the brokers give it' })
      continue
    }
    const marks = await client.watermarks(one, signal)
    const ends = marks.map(({ partition, high }) => `${partition}:${high}`).join(', ')
    const partitions = marks.length === 1 ? 'a partition' : `${marks.length} partitions`
    const own = state.topics[one] ?? 0
    const written = own === 0 ? '' : `; ${own} messages of this run are in it`
    changes.push({ target: name, action: 'append', reason: `${partitions}, now up to offset ${ends}${written}` })
  }
  return { durable, changes }
}
