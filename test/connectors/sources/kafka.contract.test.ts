// The kafka source keeps the contract of all sources, on a real broker.

import { sourceContract } from '../../contract/source.ts'
import { freshTopic, produce } from '../../support/kafka.ts'
import { openKafka } from '../../support/kafka-source.ts'
import { sharedKafka } from '../../support/services/kafka.ts'

const at = await sharedKafka()
const topic = await freshTopic({ partitions: 3 })
const counts = [6, 0, 5]
const places = counts.flatMap((count, partition) =>
  Array.from({ length: count }, (_, offset) => ({ partition, offset })),
)
await produce(
  topic,
  places.map(({ partition, offset }) => ({ partition, value: `{"n":${offset}}` })),
)

sourceContract('kafka', async () => ({
  open: () => openKafka({ at, topics: [topic] }),
  openBroken: () => openKafka({ at, topics: ['nowhere'] }),
  ids: places.map(({ partition, offset }) => `${topic}/${partition}/${offset}`),
  resumable: true,
  maxPageBytes: 2000,
}))
