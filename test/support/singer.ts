// Singer messages, and a load of them into a ledger.

import { load } from '../../lib/load.ts'
import { FromPipe, type FromPipeOptions } from '../../lib/pipe/from.ts'
import { pipeline } from '../../lib/pipeline.ts'
import { testConfig } from './engine.ts'
import { type Ledger, ledgerDestination } from './ledger.ts'
import { scriptedSource } from './shelf.ts'

export type Line = object | string

export interface Loading extends FromPipeOptions {
  readonly chunkBytes?: number
  readonly checkpointPages?: number
  readonly interfere?: (step: string) => void
}

/** Loads the lines; resolves to the STATE values that were told and the warnings. */
export async function loadSinger(folder: string, on: Ledger, lines: readonly Line[], options: Loading = {}) {
  const { chunkBytes = 1 << 16, checkpointPages = 1, interfere, ...from } = options
  const text = lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join('')
  const config = await testConfig({
    folder,
    source: scriptedSource({ pages: [] }),
    destination: ledgerDestination(on, interfere),
    checkpointPages,
  })
  const said: string[] = []
  const warnings: string[] = []
  const warn = (message: string): void => void warnings.push(message)
  const log = { trace() {}, debug() {}, info() {}, warn, error() {} }
  const bytes = Buffer.from(text)
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield Buffer.from(bytes.subarray(at, at + chunkBytes))
  }
  const pipe = new FromPipe(chunks(), config, { acknowledged: (value) => void said.push(value.toString()), ...from })
  const outcome = await pipeline(pipe, load(config), { log })
  return { outcome, said, warnings }
}

export const schemaOf = (stream: string, more: object = {}) => ({
  type: 'SCHEMA',
  stream,
  schema: { type: 'object', properties: { id: { type: 'integer' } } },
  key_properties: ['id'],
  ...more,
})
export const record = (stream: string, id: number, more: object = {}) => ({
  type: 'RECORD',
  stream,
  record: { id },
  ...more,
})
export const state = (value: unknown) => ({ type: 'STATE', value })
export const activate = (stream: string, version: number) => ({ type: 'ACTIVATE_VERSION', stream, version })
export const idsOf = (rows: Ledger['published']): string[] => rows.map(({ stream, id }) => `${stream} ${id}`).sort()
