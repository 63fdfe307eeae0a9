// The product's own client at a broker of the tests.

import { connectionOf, type GivenProperties, type KafkaConfig } from '../../connectors/kafka/config.ts'
import { connectKafka, type KafkaClient } from '../../connectors/kafka.ts'
import { never } from '../../lib/wait.ts'
import { sharedKafka } from './services/kafka.ts'

/** Closed when the work is done. Default: the shared broker, as it comes. */
export async function withClient<T>(
  work: (client: KafkaClient) => Promise<T>,
  config?: KafkaConfig,
  given?: GivenProperties,
): Promise<T> {
  const chosen = config ?? { bootstrap_servers: (await sharedKafka()).plain }
  const client = await connectKafka(connectionOf(chosen, ['config'], given), { code: 'source' }, never)
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}
