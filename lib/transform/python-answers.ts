// What is said to the python3 child and what its answers mean. Records in them are cut out of the bytes, not parsed.

import process from 'node:process'
import { scanValue, skipWhitespace } from '../json.ts'
import { RawJson, type SourceRecord } from '../record.ts'
import type { TransformConfig } from './config.ts'
import { brokenScript, partId, type Reject, ScriptError } from './script.ts'

const DATA = Buffer.from('{"data":')
const LIST = Buffer.from('{"list":')
const DROP = Buffer.from('{"drop":')
const COMMA = 0x2c

interface Failure {
  readonly reason: string
  readonly line?: number | null
  readonly source?: string | null
}

export function settingsFor(configs: readonly TransformConfig[]): string {
  const steps = configs.map(({ script, timeoutSeconds }) => ({ script, timeout: timeoutSeconds }))
  return JSON.stringify({ parent: process.pid, steps })
}

/** Throws if the answer to the settings says that a script is not valid. */
export function isReady(answer: Buffer, configs: readonly TransformConfig[]): void {
  const { broken } = JSON.parse(answer.toString()) as { broken?: Failure & { step: number } }
  if (broken) throw brokenScript(configs[broken.step]?.label ?? '', errorOf(broken))
}

/** Adds the records that an answer gives. */
export function answered(answer: Buffer, record: SourceRecord, made: SourceRecord[], reject: Reject): void {
  const { id } = record
  if (startsWith(answer, DATA)) {
    made.push({ ...record, data: new RawJson(answer, DATA.length, answer.length - 1) })
  } else if (startsWith(answer, LIST)) {
    for (const [at, data] of items(answer).entries()) made.push({ ...record, id: partId(id, at), data })
  } else if (!startsWith(answer, DROP)) {
    reject(record, errorOf((JSON.parse(answer.toString()) as { error: Failure }).error))
  }
}

function items(answer: Buffer): RawJson[] {
  const found: RawJson[] = []
  const end = answer.length - 2
  let at = skipWhitespace(answer, LIST.length + 1, end)
  while (at < end) {
    const start = answer[at] === COMMA ? at + 1 : at
    at = scanValue(answer, start, end)
    found.push(new RawJson(answer, start, at))
  }
  return found
}

function startsWith(answer: Buffer, prefix: Buffer): boolean {
  return answer.compare(prefix, 0, prefix.length, 0, prefix.length) === 0
}

function errorOf({ reason, line, source }: Failure): ScriptError {
  return new ScriptError(reason, { line: line ?? undefined, source: source ?? undefined })
}
