// Sources of tables in tests: opened as the engine would, and read to their end.

import postgres from '../../connectors/sources/postgres.ts'
import sqlite from '../../connectors/sources/sqlite.ts'
import type { Log } from '../../lib/log.ts'
import { type Json, textOf } from '../../lib/record.ts'
import type { Page, Source, SourceContext, Start } from '../../lib/source.ts'
import { sourceContext } from './source-context.ts'

const DEFINITIONS = { postgres, sqlite }

export type Given = Partial<Pick<SourceContext, 'stream' | 'mode' | 'log'>>

export function openTable(name: keyof typeof DEFINITIONS, config: object, given: Given = {}): Source {
  const definition = DEFINITIONS[name]
  const context = sourceContext({ stream: 'records', ...given })
  if (definition === postgres) return postgres.create(postgres.config.parse(config), context)
  return sqlite.create(sqlite.config.parse(config), context)
}

export async function pagesOf(source: Source, from: Start = {}): Promise<Page[]> {
  const controller = new AbortController()
  const pages: Page[] = []
  try {
    await source.check?.(controller.signal)
    for await (const page of source.read(from, controller.signal)) pages.push(page)
  } finally {
    await source.close?.()
  }
  return pages
}

/** The pages that a read gives before it fails. */
export async function pagesBeforeFailure(source: Source, from: Start = {}): Promise<Page[]> {
  const pages: Page[] = []
  try {
    for await (const page of source.read(from, new AbortController().signal)) pages.push(page)
  } catch {
    return pages
  }
  throw new Error('the read did not fail')
}

export const idsOf = (pages: readonly Page[]): string[] => pages.flatMap(({ records }) => records.map(({ id }) => id))
export const textsOf = (pages: readonly Page[]): string[] =>
  pages.flatMap(({ records }) => records.map(({ data }) => textOf(data)))

/** What the next run is told: as the state store gives it back. */
export function sinceOf(pages: readonly Page[]): Start {
  const value = pages.findLast(({ watermark }) => watermark !== undefined)?.watermark
  const since = { time: new Date(0), ...(value !== undefined && { value: JSON.parse(JSON.stringify(value)) as Json }) }
  return { since }
}

/** Where a run that was killed after this page goes on. */
export function positionOf(page: Page | undefined): Start {
  return { position: JSON.parse(JSON.stringify(page?.next)) }
}

/** Keeps what was said. */
export function listeningLog(): Log & { readonly said: string[] } {
  const said: string[] = []
  const say = (message: string): void => {
    said.push(message)
  }
  return { said, trace: say, debug: say, info: say, warn: say, error: say }
}
