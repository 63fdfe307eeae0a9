// Small conversations of an Airbyte source, and what becomes of them.

import { join } from 'node:path'
import { type Log, silentLog } from '../../lib/log.ts'
import { joined, keeper, keepingDestination, loaded, pipeConfig, textSource } from './pipe.ts'

export const record = (stream: string, data: string, rest = ''): string =>
  `{"type":"RECORD","record":{"stream":"${stream}"${rest},"emitted_at":1700000000000,"data":${data}}}`
export const status = (name: string, word: string): string =>
  `{"type":"TRACE","trace":{"type":"STREAM_STATUS","emitted_at":1.7e12,"stream_status":{"stream_descriptor":{"name":"${name}"},"status":"${word}"}}}`
export const state = (name: string, cursor: number, stats = ''): string =>
  `{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"${name}"},"stream_state":{"c":${cursor}}}${stats}}}`
export const sent = (count: number): string => `,"sourceStats":{"recordCount":${count}.0}`
export const error =
  '{"type":"TRACE","trace":{"type":"ERROR","emitted_at":1.7e12,"error":{"message":"quota exceeded","internal_message":"HTTP 429"}}}'

/** Two streams, interleaved, with statuses and counts. */
export const TALK = [
  status('a', 'STARTED'),
  status('b', 'STARTED'),
  record('a', '{"x":1.10}'),
  record('b', '{"x":-0}'),
  record('a', '{"x":9007199254740993}'),
  state('a', 1, sent(2)),
  record('b', '{ "x" : "\\u00e9" }'),
  state('b', 1, sent(2)),
  status('a', 'COMPLETE'),
  status('b', 'COMPLETE'),
]
export const ROWS = ['a 1 {"x":1.10}', 'a 3 {"x":9007199254740993}', 'b 2 {"x":-0}', 'b 4 { "x" : "\\u00e9" }']

let states = 0

/** Loads the lines in this folder, with a state of their own, and gives what came of it. */
export async function hear(
  folder: string,
  lines: readonly string[],
  options: Parameters<typeof loaded>[2] = {},
  checkpointPages = 1,
) {
  const on = keeper()
  const words: string[] = []
  const say = (level: string) => (message: string) => void words.push(`${level}: ${message}`)
  const log: Log = { ...silentLog, debug: say('debug'), warn: say('warn'), error: say('error') }
  const state = join(folder, `state-${++states}`)
  const config = await pipeConfig(state, textSource([]), keepingDestination(on), checkpointPages)
  const result = await loaded(config, joined(lines), { log, ...options })
  return { ...result, on, words, rows: [...on.published].sort() }
}
