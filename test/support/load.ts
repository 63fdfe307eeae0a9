// What the engine does with a destination, as a few lines: the driver of the destination tests, and their records.

import type { Checkpoint } from '../../lib/checkpoint.ts'
import type { Destination, Run } from '../../lib/destination.ts'
import { RawJson, type SourceRecord } from '../../lib/record.ts'
import type { Page, SyncMode } from '../../lib/source.ts'

export const never: AbortSignal = new AbortController().signal

export function recordOf(id: string, destinationId?: string): SourceRecord {
  const data = RawJson.from(`{"id":"${id}","exact":1.10,"big":12345678901234567890}`)
  return destinationId === undefined ? { id, data } : { id, data, destinationId }
}

/** `count` pages of three records each: a0 a1 a2, a3 … */
export function pagesOf(prefix: string, count: number, route?: (n: number) => string | undefined): Page[] {
  return Array.from({ length: count }, (_, page) => ({
    records: [0, 1, 2].map((at) => recordOf(`${prefix}${3 * page + at}`, route?.(3 * page + at))),
    next: page + 1 < count ? { page: page + 1, big: '12345678901234567890' } : null,
  }))
}

export function idsOf(pages: readonly Page[]): string[] {
  return pages.flatMap((page) => page.records.map((record) => record.id))
}

export function runOf(id: string, mode: SyncMode, epoch: number, complete = mode === 'full_refresh'): Run {
  return { id, pipeline: 'trial', source: 'test', stream: 'main', mode, epoch, complete }
}

/** What the engine does with a destination, from wherever it stands, to the end or until `pages` run out. */
export async function load(
  destination: Destination,
  run: Run,
  pages: readonly Page[],
  { publish = true, signal = never }: { publish?: boolean; signal?: AbortSignal } = {},
): Promise<Checkpoint | undefined> {
  try {
    let at = await destination.open(run, signal)
    for (const page of at?.end ? [] : pages.slice(at?.page ?? 0)) {
      await destination.write({ ...page, extractedAt: new Date(0) }, signal)
      at = {
        run: run.id,
        page: (at?.page ?? 0) + 1,
        rows: (at?.rows ?? 0) + page.records.length,
        position: page.next,
        end: page.next === null,
      }
      await destination.flush(at)
    }
    if (publish) await destination.publish()
    return at
  } finally {
    await destination.close()
  }
}

export class Injected extends Error {}

/** Counts operations; throws at the n-th. */
export function failAt(n: number): { before(operation: string): void; readonly passed: () => number } {
  let count = 0
  return {
    before(operation) {
      if (++count === n) throw new Injected(`injected at ${operation}`)
    },
    passed: () => count,
  }
}
