// What is used of the client's own view of the brokers, which it shows nowhere.

import type { Fetched } from './answer.ts'

export interface FetchCluster {
  /** What versions of requests the brokers know, once one has answered. */
  readonly brokerPool: { readonly versions: object | null }
  connect(): Promise<void>
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
  getNodeIds(): readonly string[]
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number; readonly leader: number }[]
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, readonly number[]>>
  findBroker(broker: { readonly nodeId: string }): Promise<FetchBroker>
}

export interface FetchBroker {
  listOffsets(request: object): Promise<{
    readonly responses: readonly {
      readonly partitions: readonly { readonly partition: number; readonly offset: string }[]
    }[]
  }>
  findGroupCoordinator(request: { readonly groupId: string; readonly coordinatorType: number }): Promise<unknown>
  /** What requests are made of, of the newest version that both sides know. */
  lookupRequest(key: number, definition: object): (options: object) => Protocol
  fetch(request: object): Promise<Fetched>
}

export interface Protocol {
  readonly request: { readonly apiVersion: number }
  readonly response: { decode(bytes: Buffer): Promise<object> }
}
