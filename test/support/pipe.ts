// Both halves of a pipeline with the lines between them in a test's hands, and a destination that keeps payloads as text.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import type { Checkpoint } from '../../lib/checkpoint.ts'
import type { PipelineConfig } from '../../lib/config.ts'
import type { DestinationDefinition } from '../../lib/destination.ts'
import { extract } from '../../lib/extract.ts'
import { load } from '../../lib/load.ts'
import type { Log } from '../../lib/log.ts'
import type { PipeFormat } from '../../lib/pipe/forms.ts'
import { FromPipe, type FromPipeOptions } from '../../lib/pipe/from.ts'
import { type ExtractToOptions, extractTo } from '../../lib/pipe/to.ts'
import { pipeline } from '../../lib/pipeline.ts'
import { RawJson, textOf } from '../../lib/record.ts'
import type { SourceDefinition } from '../../lib/source.ts'
import { testConfig } from './engine.ts'

/** What is durable of one target: `stream id payload`, with the time if the record has one of its own. */
export interface Kept {
  published: string[]
  committed: { run: string; rows: string[]; checkpoint: Checkpoint } | undefined
}

export function keeper(): Kept {
  return { published: [], committed: undefined }
}

/** Commits at each flush, adds or replaces at publish. */
export function keepingDestination(on: Kept): DestinationDefinition {
  return {
    summary: 'Texts.',
    config: z.strictObject({}),
    create(_options, { stream }) {
      let run = { id: '', complete: true }
      let staged: string[] = []
      return {
        async open({ id, complete }) {
          run = { id, complete }
          if (on.committed?.run !== id) on.committed = undefined
          return on.committed?.checkpoint
        },
        async write(page) {
          const name = page.stream?.name ?? stream
          staged.push(...page.records.map(({ id, data }) => `${name} ${id} ${textOf(data)}`))
        },
        async flush(checkpoint) {
          on.committed = { run: run.id, rows: [...(on.committed?.rows ?? []), ...staged], checkpoint }
          staged = []
        },
        async publish() {
          const rows = on.committed?.rows ?? []
          on.published = run.complete ? rows : [...on.published, ...rows]
        },
        async close() {},
      }
    },
  }
}

/** Gives these payloads, page by page, as text; its positions count pages. */
export function textSource(pages: readonly (readonly string[])[], failsAt = Infinity): SourceDefinition {
  return {
    summary: 'Texts.',
    config: z.strictObject({}),
    streams: () => [{ name: '*', resumable: true, incremental: true }],
    create: () => ({
      async *read({ position }) {
        for (let at = (position?.page ?? 0) as number; at < pages.length; at++) {
          if (at === failsAt) throw new Error('the API is gone')
          const before = pages.slice(0, at).flat().length
          const records = (pages[at] ?? []).map((text, i) => ({ id: String(before + i), data: RawJson.from(text) }))
          yield { records, next: at === pages.length - 1 ? null : { page: at + 1 } }
        }
      },
    }),
  }
}

export async function pipeConfig(
  folder: string,
  source: SourceDefinition,
  destination: DestinationDefinition,
  checkpointPages = 1,
): Promise<PipelineConfig> {
  await mkdir(folder, { recursive: true })
  return testConfig({ folder: join(folder), source, destination, checkpointPages })
}

/** What the extractor writes, also if it fails. */
export async function written(
  config: PipelineConfig,
  format: PipeFormat,
  { stop, from }: Pick<ExtractToOptions, 'stop' | 'from'> = {},
): Promise<{ text: string; error: unknown }> {
  const chunks: Buffer[] = []
  const out = { write: async (bytes: Uint8Array): Promise<void> => void chunks.push(Buffer.from(bytes)) }
  const error = await extractTo(extract(config), out, { format, from, ...(stop && { stop }) }).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return { text: Buffer.concat(chunks).toString(), error }
}

export async function loaded(
  config: PipelineConfig,
  bytes: string | Buffer,
  { size = bytes.length, log, ...options }: FromPipeOptions & { size?: number; log?: Log } = {},
): Promise<{ said: string[]; error: Error | undefined }> {
  const said: string[] = []
  const acknowledged = (value: { toString(): string }): void => void said.push(value.toString())
  const from = new FromPipe(chunksOf(Buffer.from(bytes), size), config, { acknowledged, ...options })
  try {
    await pipeline(from, load(config), { ...(log && { log }) })
    return { said, error: undefined }
  } catch (error) {
    return { said, error: error as Error }
  }
}

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

export const linesOf = (text: string): string[] => text.trimEnd().split('\n')
export const joined = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('')
