// Several requests at once, their results in order.

/** At most so many at a time. The first failure aborts the others and is thrown, when all of them have ended. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  most: number,
  signal: AbortSignal,
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const failed = new AbortController()
  const inner = AbortSignal.any([signal, failed.signal])
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length && !inner.aborted) {
      const index = next++
      try {
        results[index] = await work(items[index] as Item, inner)
      } catch (error) {
        if (!failed.signal.aborted) failed.abort(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker))
  inner.throwIfAborted()
  return results
}
