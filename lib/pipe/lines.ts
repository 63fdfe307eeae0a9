// Bytes as they arrive, cut into blocks of whole lines. Nothing is copied but a line that two chunks share.

import { BizonError, Damaged } from '../errors.ts'
import { checkRecordSize } from '../memory.ts'
import { orAborted } from '../wait.ts'

/** `buffer[start, end)`: whole lines, the last with its line end unless the input stopped there. */
export interface Lines {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
}

const LF = 0x0a

/** The index of the line end that follows, or `end`. */
export function lineEnd(buffer: Buffer, from: number, end: number): number {
  const stop = buffer.indexOf(LF, from)
  return stop < 0 || stop > end ? end : stop
}

/** A longer line is an error: it could not be held beside all else. */
export const MOST_LINE_BYTES = 64 << 20

/** Rejects with the signal's reason; what the chunks come from is then left as it is. */
export async function* wholeLines(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  { stallSeconds = Infinity }: { readonly stallSeconds?: number } = {},
): AsyncGenerator<Lines, void, void> {
  const iterator = chunks[Symbol.asyncIterator]()
  let held: Buffer[] = []
  let bytes = 0
  const joined = (last: Buffer): Lines => {
    const buffer = held.length === 0 ? last : Buffer.concat([...held, last])
    held = []
    bytes = 0
    return { buffer, start: 0, end: buffer.length }
  }
  for (;;) {
    const next = await withinTime(iterator.next(), stallSeconds, signal)
    if (next.done) break
    const { buffer: memory, byteOffset, byteLength } = next.value
    const chunk = Buffer.from(memory, byteOffset, byteLength)
    let start = 0
    if (held.length > 0) {
      start = chunk.indexOf(LF) + 1
      if (start > 0) yield joined(chunk.subarray(0, start))
    }
    const end = chunk.lastIndexOf(LF) + 1
    if (end > start) yield { buffer: chunk, start, end }
    if (Math.max(start, end) < chunk.length) {
      held.push(chunk.subarray(Math.max(start, end)))
      bytes += chunk.length - Math.max(start, end)
      checkRecordSize(bytes, 'a line of the pipe', { upTo: MOST_LINE_BYTES })
      if (bytes > MOST_LINE_BYTES) {
        throw new Damaged('source', `a line of the pipe is longer than ${MOST_LINE_BYTES >> 20} MiB`)
      }
    }
  }
  if (held.length > 0) yield joined(Buffer.alloc(0))
}

async function withinTime<T>(waiting: Promise<T>, seconds: number, signal: AbortSignal): Promise<T> {
  if (seconds === Infinity) {
    const result = await orAborted(waiting, signal)
    signal.throwIfAborted()
    return result as T
  }
  const stalled = new AbortController()
  const timer = setTimeout(() => stalled.abort(silent(seconds)), Math.min(seconds * 1000, 2 ** 31 - 1))
  const either = AbortSignal.any([signal, stalled.signal])
  try {
    const result = await orAborted(waiting, either)
    either.throwIfAborted()
    return result as T
  } finally {
    clearTimeout(timer)
  }
}

function silent(seconds: number): BizonError {
  return new BizonError('source', `nothing came through the pipe for ${seconds} s`, {
    hint: 'Look at the program before it; --stall-timeout says how long to wait.',
  })
}
