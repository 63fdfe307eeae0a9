// `--record` and `--replay`: what a source and its API said to each other, kept in a file and given back without a
// network. Stands between the clients of a source and the wire. See docs/cassettes.md.

import { access, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Recorder, unwritable } from './cassette/record.ts'
import { Player } from './cassette/replay.ts'
import type { OpenTransport } from './http/transport.ts'
import type { Log } from './log.ts'
import { REDACTED } from './redact.ts'

export interface CassetteConfig {
  readonly mode: 'record' | 'replay'
  readonly path: string
  /** Replay: variables that the config refers to and that are not set, so that `***` stands for them. */
  readonly unset?: readonly string[]
}

export interface Cassette {
  readonly transport: OpenTransport
  /** Writes what is left, and tells what became of the tape. Safe twice. */
  close(): Promise<void>
}

export interface CassetteParts {
  /** Name of the source, for messages. */
  readonly source: string
  /** What is recorded. */
  readonly wire: OpenTransport
  readonly log: Log
}

/** Rejects when nothing can be written to the path, or when it holds no cassette. */
export async function openCassette(
  { mode, path, unset = [] }: CassetteConfig,
  parts: CassetteParts,
): Promise<Cassette> {
  if (unset.length > 0)
    parts.log.warn(`not set, so that ${REDACTED} stands for it while replaying: ${unset.join(', ')}`)
  return mode === 'record' ? openRecorder(path, parts) : openPlayer(path, parts)
}

async function openRecorder(path: string, { source, wire, log }: CassetteParts): Promise<Cassette> {
  const found = await stat(path).catch(() => undefined)
  if (found) throw unwritable(path, Object.assign(new Error('EEXIST'), { code: 'EEXIST' }))
  await access(dirname(path)).catch((error: unknown) => {
    throw unwritable(path, error)
  })
  const recorder = new Recorder(path)
  return {
    transport: recorder.around(wire),
    close: once(async () => {
      await recorder.close()
      const { exchanges } = recorder
      if (exchanges === 0) log.warn(`source ${source} sent no HTTP request, so ${path} was not written`)
      else log.info(`recorded ${exchanges} HTTP ${exchanges === 1 ? 'request' : 'requests'} to ${path}`)
    }),
  }
}

async function openPlayer(path: string, { source, log }: CassetteParts): Promise<Cassette> {
  const player = new Player(path, log)
  await player.load()
  return {
    transport: player.transport,
    close: once(async () => {
      await player.close()
      const { exchanges, used, asked } = player
      if (!asked) log.warn(`source ${source} sent no HTTP request, so nothing of ${path} was replayed`)
      else if (used < exchanges) log.info(`replayed ${used} of the ${exchanges} HTTP requests of ${path}`)
      else log.info(`replayed all ${exchanges} HTTP requests of ${path}`)
    }),
  }
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => {
    done ??= work()
    return done
  }
}
