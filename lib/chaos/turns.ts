// Several trials at a time.

/** So many at a time. The first failure ends all: those under way are waited for. */
export async function inTurn<Item>(
  items: readonly Item[],
  atATime: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const left = [...items]
  let failed = false
  const results = await Promise.allSettled(
    Array.from({ length: atATime }, async () => {
      for (let item = left.shift(); item !== undefined && !failed; item = left.shift()) {
        await work(item).catch((error: unknown) => {
          failed = true
          throw error
        })
      }
    }),
  )
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
