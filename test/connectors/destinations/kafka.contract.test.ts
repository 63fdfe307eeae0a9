import { basename } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { connectionOf } from '../../../connectors/kafka/config.ts'
import { connectKafka, type KafkaClient } from '../../../connectors/kafka.ts'
import { never } from '../../../lib/wait.ts'
import { destinationContract } from '../../contract/destination.ts'
import { kafkaDestination, keysIn } from '../../support/kafka-destination.ts'
import { sharedKafka } from '../../support/services/kafka.ts'

let brokers = ''
// Kafka's own consumer is the reader elsewhere; starting it a thousand times would take most of the time here.
let reader: KafkaClient
beforeAll(async () => {
  brokers = (await sharedKafka()).plain
  reader = await connectKafka(connectionOf({ bootstrap_servers: brokers }, ['config']), { code: 'source' }, never)
})
afterAll(() => reader.close())

/** Each case has topics of its own. */
const topicOf = (folder: string, target: string): string => `${basename(folder)}.${target}`

destinationContract('kafka', {
  create: (folder, { mode, before }) =>
    kafkaDestination({
      brokers,
      topic: topicOf(folder, 'main'),
      mode,
      before,
      options: { full_refresh: 'append', state_topic: '_contract_state' },
    }),
  onlyAdds: true,
  noticed: /send/,
  concurrent: true,
  step: 7,
  readBack: (folder, target) => keysIn(reader, topicOf(folder, target)),
  idOf: topicOf,
})
