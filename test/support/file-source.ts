// For tests of the file source: a folder of its own for each test, and a short way to read files in it.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import source from '../../connectors/sources/file.ts'
import { BizonError } from '../../lib/errors.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import { textOf } from '../../lib/record.ts'
import type { Page, Source, Start, SyncMode } from '../../lib/source.ts'
import { sourceContext } from './source-context.ts'

export interface ReadSettings {
  readonly mode?: SyncMode
  readonly from?: Start
  readonly log?: Log
  readonly signal?: AbortSignal
}

/** A record as a destination would see it. */
export interface Seen {
  readonly id: string
  readonly text: string
  readonly timestamp?: Date | string
}

export function openFile(config: object, { mode = 'full_refresh', log = silentLog }: ReadSettings = {}): Source {
  return source.create(source.config.parse(config), sourceContext({ pipeline: 'pipe', stream: 'events', mode, log }))
}

export async function pagesOf(config: object, settings: ReadSettings = {}): Promise<Page[]> {
  const pages: Page[] = []
  const opened = openFile(config, settings)
  for await (const page of opened.read(settings.from ?? {}, settings.signal ?? new AbortController().signal))
    pages.push(page)
  return pages
}

export function seenIn(pages: readonly Page[]): Seen[] {
  return pages.flatMap((page) =>
    page.records.map(({ id, data, timestamp }) => ({ id, text: textOf(data), ...(timestamp && { timestamp }) })),
  )
}

export async function read(config: object, settings: ReadSettings = {}): Promise<Seen[]> {
  return seenIn(await pagesOf(config, settings))
}

/** The texts of all records. */
export async function texts(config: object, settings: ReadSettings = {}): Promise<string[]> {
  return (await read(config, settings)).map((record) => record.text)
}

/** How the read fails; rejects if it does not. */
export async function failure(config: object, settings: ReadSettings = {}): Promise<BizonError> {
  try {
    await pagesOf(config, settings)
  } catch (error) {
    if (error instanceof BizonError) return error
    throw error
  }
  throw new Error('did not fail')
}

/** A folder for each test of the file, removed after it. */
export function useFolder(): {
  path(name: string): string
  write(name: string, content: string | Buffer): Promise<string>
} {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bizon-file-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })
  const path = (name: string) => join(folder, name)
  return {
    path,
    async write(name, content) {
      await writeFile(path(name), content)
      return path(name)
    },
  }
}
