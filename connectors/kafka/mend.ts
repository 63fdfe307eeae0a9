// Two faults of the client's connections, put right in its classes, for all that this process makes with it. Both repeatable.

/** Of requests, one for each connection. */
export interface RequestQueue {
  readonly pending: readonly unknown[]
  scheduleCheckPendingRequests(): void
}

export interface Connection {
  /** What has come of an answer that is not whole. */
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  isConnected(): boolean
  /** Ours. `isClosed`: whoever made it has closed all that it has opened. */
  readonly socketFactory?: { readonly isClosed?: boolean }
  connect(): Promise<unknown>
}

/** In front of each answer stands how long it is. */
const LENGTH_BYTES = 4

const mended = new WeakSet<object>()

/**
 * It looks a thousand times a second whether it may send what waits, also when nothing does: an idle stream took three hundredths
 * of a core. Now it looks only while something waits; what is put into it then, or answered, makes it look in any case.
 */
export function letRest(queue: RequestQueue): void {
  if (mended.has(queue)) return
  mended.add(queue)
  const schedule = queue.scheduleCheckPendingRequests
  queue.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.pending.length > 0) schedule.call(this)
  }
}

/**
 * A connection that is lost in the midst of an answer, as when a broker is killed, keeps the half of it, and takes what comes over
 * the next one for the rest: from then on no request is answered.
 */
export function forgetHalves(connection: Connection): void {
  if (mended.has(connection)) return
  mended.add(connection)
  const { connect } = connection
  connection.connect = function (this: Connection): Promise<unknown> {
    // What was called off would try for minutes, and keep the process for as long.
    if (this.socketFactory?.isClosed) return Promise.reject(Object.assign(new Error('closed'), { retriable: false }))
    if (!this.isConnected()) {
      this.chunks = []
      this.bytesBuffered = 0
      this.bytesNeeded = LENGTH_BYTES
    }
    return connect.call(this)
  }
}
