// Offsets that are committed to a group by one who is not in it: the brokers take them as long as it has no members.

export interface OffsetToCommit {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Kept beside the offset, for whoever asks. */
  readonly metadata: string
}

/** What is used of the client's view of the brokers. */
export interface CommitCluster {
  findGroupCoordinator(group: {
    readonly groupId: string
  }): Promise<{ offsetCommit(request: object): Promise<unknown> }>
}

/** Rejects with UNKNOWN_MEMBER_ID when the group has members. */
export async function commitOffsets(
  cluster: CommitCluster,
  groupId: string,
  offsets: readonly OffsetToCommit[],
): Promise<void> {
  const topics = [...new Set(offsets.map(({ topic }) => topic))].map((topic) => ({
    topic,
    partitions: offsets
      .filter((one) => one.topic === topic)
      .map(({ partition, offset, metadata }) => ({ partition, offset: String(offset), metadata })),
  }))
  const coordinator = await cluster.findGroupCoordinator({ groupId })
  await coordinator.offsetCommit({ groupId, groupGenerationId: -1, memberId: '', retentionTime: -1, topics })
}
