// The least that the client does for messages: all of a topic through its own loop, which does nothing with them.
//   node kafka-loop.mjs BROKERS TOPIC COUNT

import { Kafka, logLevel } from 'kafkajs'

const [brokers = '', topic = '', count = ''] = process.argv.slice(2)
const kafka = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.ERROR })
const consumer = kafka.consumer({ groupId: `bizon-bench-${process.pid}` })
await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
let seen = 0
let bytes = 0
await consumer.run({
  eachBatch: async ({ batch }) => {
    for (const { value } of batch.messages) bytes += value?.length ?? 0
    seen += batch.messages.length
    if (seen < Number(count)) return
    console.log(`${seen} messages, ${bytes} bytes`)
    process.exit()
  },
})
