import type { Messages } from '../../kafka/messages.ts'

/** Some messages of one partition: from the one up to the other. */
export interface Span {
  readonly topic: string
  readonly partition: number
  readonly messages: Messages
  readonly start: number
  readonly end: number
}
