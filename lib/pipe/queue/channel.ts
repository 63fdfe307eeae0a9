// From `engine.queue` of a config to the messages of its stream at the broker.

import { type Channel, channelName } from '../../channel.ts'
import type { PipelineConfig } from '../../config.ts'
import type { Log } from '../../log.ts'
import { redactLog } from '../../redact.ts'

type Parts = Pick<PipelineConfig, 'name' | 'engine' | 'secrets' | 'invalid'> & Partial<Pick<PipelineConfig, 'source'>>

/** `by`: what asks for it, for people. `stream`: where the config has no source. */
export function channelOf(config: Parts, by: string, log: Log, stream = config.source?.stream): Channel {
  const { name: pipeline, engine, secrets, invalid } = config
  const { broker, type } = engine.queue
  if (!broker) {
    throw invalid(['engine', 'queue', 'type'], `is ${type}, which is memory of one process, and ${by} needs a broker`, {
      hint: 'Set engine.queue.type to kafka or rabbitmq; see docs/queues.md.',
    })
  }
  const name = stream === undefined ? undefined : channelName(pipeline, stream)
  return broker.definition.connect(broker.options, { pipeline, stream, name, log: redactLog(log, secrets) })
}
