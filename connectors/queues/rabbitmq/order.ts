// The place of a message among all that were ever put into a queue: the property `message_id`. RabbitMQ keeps the order of
// messages that nobody has taken, but not of those that are given back.

const FORM = /^bizon-(\d{1,16})-(\d{1,16})$/

/** A producer has a number that is greater than that of every one before it; it is the time at which it began, as a rule. */
export interface Order {
  readonly producer: number
  readonly message: number
}

export function orderText({ producer, message }: Order): string {
  return `bizon-${producer}-${message}`
}

/** Undefined: the message was put by another program. */
export function orderOf(id: string | undefined): Order | undefined {
  const found = FORM.exec(id ?? '')
  return found ? { producer: Number(found[1]), message: Number(found[2]) } : undefined
}

/** In the order in which they were put. What has none stays behind what stood before it. */
export function inOrder<T extends { readonly id?: string | undefined }>(messages: readonly T[]): T[] {
  let last: Order = { producer: 0, message: 0 }
  const placed = messages.map((message) => {
    last = orderOf(message.id) ?? last
    return { message, order: last }
  })
  placed.sort((a, b) => a.order.producer - b.order.producer || a.order.message - b.order.message)
  return placed.map(({ message }) => message)
}

/**
 * Where those begin that nobody has acknowledged, among messages in order. A producer numbers its messages one by one, and what is
 * acknowledged is so with all before it: what stands before a missing one was, although the broker has it. It may forget
 * some of the acknowledgements of a connection that ends.
 */
export function firstUnacknowledged(messages: readonly { readonly id?: string | undefined }[]): number {
  let begin = 0
  let last: Order | undefined
  for (const [at, { id }] of messages.entries()) {
    const order = orderOf(id)
    if (!order) continue
    const isNext = order.producer === last?.producer ? order.message <= last.message + 1 : order.message === 1
    if (last && !isNext) begin = at
    last = order
  }
  return begin
}
