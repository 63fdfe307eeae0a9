import { channelContract } from '../../contract/channel.ts'
import { kafkaGround } from '../../support/kafka-queue.ts'

channelContract('a topic of Kafka', kafkaGround, { fences: true, hasTransactions: true })
