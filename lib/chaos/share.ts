// A part of what a source gives, for a run of `bizon chaos` that finds something loaded: the run before gets the first records,
// and ends as a run does; the one that is disturbed gets the rest, as if they had come in meanwhile.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemCode } from '../errors.ts'
import type { Page, Source } from '../source.ts'

/** Records by their number, from 0. */
export interface Share {
  readonly from: number
  /** Absent: to the end. */
  readonly to?: number
}

const pathIn = (folder: string): string => join(folder, 'source.share.json')

/** What runs in the scratch folder get from now on. */
export function keepShare(folder: string, share: Share): void {
  writeFileSync(pathIn(folder), JSON.stringify(share))
}

export function shareIn(folder: string): Share | undefined {
  try {
    return JSON.parse(readFileSync(pathIn(folder), 'utf8')) as Share
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** The source with these records alone. Behind a position it gives all: that one is of a run with the rest. */
export function sharing(source: Source, share: Share): Source {
  const { read } = source
  return Object.assign(source, {
    read({ position }, signal) {
      if (position) return read.call(source, { position }, signal)
      return shareOf(read.call(source, {}, signal), share)
    },
  } satisfies Pick<Source, 'read'>)
}

async function* shareOf(
  pages: AsyncGenerator<Page, void, void>,
  { from, to = Number.POSITIVE_INFINITY }: Share,
): AsyncGenerator<Page, void, void> {
  let at = 0
  for await (const page of pages) {
    const { bytes, ...rest } = page
    const first = at
    at += page.records.length
    if (at <= from && page.next !== null) {
      page.release?.()
      continue
    }
    const records = page.records.slice(Math.max(0, from - first), to - first)
    const isWhole = records.length === page.records.length
    const isLast = at >= to
    yield {
      ...rest,
      records,
      ...(isWhole && bytes !== undefined && { bytes }),
      ...(isLast && { next: null, more: false }),
    }
    if (isLast) return
  }
}
