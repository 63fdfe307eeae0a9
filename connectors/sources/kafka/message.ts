// A message as the client gives it, and what people call it.

export type HeaderValue = Buffer | string | null | undefined

export interface Message {
  readonly offset: bigint
  /** Milliseconds since 1970; negative: unknown. */
  readonly timestamp: number
  readonly key: Buffer | null
  /** Null: a tombstone. */
  readonly value: Buffer | null
  /** What came several times is a list. */
  readonly headers: Readonly<Record<string, HeaderValue | readonly HeaderValue[]>>
}

/** Messages of one partition, in order. */
export interface Batch {
  readonly topic: string
  readonly partition: number
  readonly messages: readonly Message[]
}

/** Of a message: its name in errors, and the id of its record. */
export const idOf = (topic: string, partition: number, offset: bigint | ''): string => `${topic}/${partition}/${offset}`
