// The client's queue of requests, one for each connection, looks a thousand times a second whether it may send what waits, also when
// nothing does: an idle stream took three hundredths of a core. Here it looks only while something waits; what is put into it then,
// or answered, makes it look in any case.

export interface RequestQueue {
  readonly pending: readonly unknown[]
  scheduleCheckPendingRequests(): void
}

const restful = new WeakSet<RequestQueue>()

/** Of all connections of this process that are made with the client. Repeatable. */
export function letRest(queue: RequestQueue): void {
  if (restful.has(queue)) return
  restful.add(queue)
  const schedule = queue.scheduleCheckPendingRequests
  queue.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.pending.length > 0) schedule.call(this)
  }
}
