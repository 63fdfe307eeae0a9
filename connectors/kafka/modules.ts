// The client itself, an optional peer: loaded when a config names Kafka, and what is used of its inside.

import type * as Client from 'kafkajs'
import { BizonError, type ErrorCode, systemCode } from '../../lib/errors.ts'
import type { FetchCluster } from './cluster.ts'
import { forgetHalves, letRest } from './mend.ts'

export interface Modules {
  readonly kafkajs: Pick<typeof Client, 'Kafka' | 'Partitioners' | 'ConfigResourceTypes' | 'logLevel'>
  readonly Cluster: new (options: object) => FetchCluster
  readonly createLogger: (options: object) => object
}

/** Rejects where it is not there, or is another version. */
export async function loadModules(code: ErrorCode): Promise<Modules> {
  // Not types but names: what is inside has none.
  const inside = (path: string): string => `kafkajs/src/${path}.js`
  const needed = 'Kafka needs the package kafkajs'
  let kafkajs: Modules['kafkajs']
  try {
    kafkajs = (await import('kafkajs')).default
  } catch (error) {
    if (systemCode(error) !== 'ERR_MODULE_NOT_FOUND' && systemCode(error) !== 'MODULE_NOT_FOUND') throw error
    throw new BizonError(code, `${needed}, which is not installed`, { hint: 'npm install kafkajs' })
  }
  try {
    const [cluster, loggers, queue, connection] = await Promise.all(
      ['cluster/index', 'loggers/index', 'network/requestQueue/index', 'network/connection'].map(
        (path) => import(inside(path)),
      ),
    )
    letRest(queue.default.prototype)
    forgetHalves(connection.default.prototype)
    return { kafkajs, Cluster: cluster.default, createLogger: loggers.default.createLogger }
  } catch (error) {
    throw new BizonError(code, `${needed} 2.2: the one that is installed is another`, {
      hint: 'npm install kafkajs@2.2',
      cause: error,
    })
  }
}
