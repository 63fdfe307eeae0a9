// A record as a message: its JSON text as it came, a key, and what is known of it in headers.

import { InvalidKey, inDestination } from '../../../lib/config/invalid-key.ts'
import { BizonError } from '../../../lib/errors.ts'
import { type JsonPath, parsePath, valuesReader } from '../../../lib/json/path.ts'
import { stringOf } from '../../../lib/json.ts'
import type { RawJson, SourceRecord } from '../../../lib/record.ts'
import type { OutMessage } from '../../kafka.ts'
import { type FactColumn, factText, namingOf, type PageFacts } from '../naming.ts'
import { idText, rawOf } from '../record.ts'

export interface MessageOptions {
  readonly key?: string | undefined
  readonly metadata: 'bizon' | 'none'
}

/** Beside those that other destinations have as columns. */
export const RUN_HEADER = 'bizon_run'
export const RECORD_HEADER = 'source_record_id'

export class Messages {
  readonly #key: ((raw: RawJson, id: string) => string) | undefined
  readonly #headers: readonly FactColumn[] | undefined

  constructor({ key, metadata }: MessageOptions) {
    this.#key = key === undefined ? undefined : templateOf(key)
    this.#headers = metadata === 'none' ? undefined : namingOf({ metadata, unnest: false }).columns
  }

  /** The bytes are its own. */
  of(record: SourceRecord, topic: string, facts: PageFacts): OutMessage {
    const raw = rawOf(record.data)
    const id = idText(record.id)
    const key = this.#key ? this.#key(raw, id) : id
    const value = Buffer.from(raw.bytes())
    if (!this.#headers) return { topic, key, value }
    const headers: Record<string, string> = { [RUN_HEADER]: facts.run }
    for (const { name, fact } of this.#headers) headers[name] = factText(fact, record, facts)
    return { topic, key, value, headers }
  }
}

/** `a{b.c}d`: text, and the values at paths of the record. */
function templateOf(template: string): (raw: RawJson, id: string) => string {
  const parts = template.split(/\{([^{}]*)\}/)
  const paths: JsonPath[] = []
  for (let at = 1; at < parts.length; at += 2) paths.push(parsePath(parts[at] as string))
  const wrong = parts.find((part, at) => (at % 2 === 0 ? /[{}]/.test(part) : part === ''))
  if (wrong !== undefined || paths.length === 0) {
    throw new InvalidKey(inDestination('key'), `${JSON.stringify(template)} names no field in braces`, {
      hint: 'Write the fields of which keys are made: {id}, or {customer.id}-{day}.',
      shown: template,
    })
  }
  const read = valuesReader(paths)
  return (raw, id) => {
    const found = read(raw)
    let key = ''
    for (const [at, part] of parts.entries()) {
      if (at % 2 === 0) key += part
      else key += textOf(found[(at - 1) / 2], id, part)
    }
    return key
  }
}

function textOf(value: RawJson | undefined, id: string, path: string): string {
  const text = value && (stringOf(value) ?? value.toString())
  if (text !== undefined && text !== 'null') return text
  throw new BizonError('invalid_record', `record ${JSON.stringify(id)}: it has no ${path}, of which its key is made`, {
    hint: 'Correct the record, or choose another key in destination.config.',
  })
}
