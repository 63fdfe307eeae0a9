// Messages through the decoding of source `kafka`, without a broker.

import * as z from 'zod'
import type { Message } from '../../connectors/kafka/messages.ts'
import {
  type DecodingOptions,
  decodingKeys,
  openDecoding,
  registryKeys,
} from '../../connectors/sources/kafka/decoding.ts'
import type { Span } from '../../connectors/sources/kafka/span.ts'
import { createHttp, type Http } from '../../lib/http.ts'
import { textOf } from '../../lib/record.ts'
import { never } from '../../lib/wait.ts'
import { messagesOf } from './kafka-messages.ts'
import { listeningLog } from './table-source.ts'

const schema = z.strictObject({
  ...decodingKeys,
  authentication: z.strictObject(registryKeys).optional(),
  topics: z.array(z.object({ name: z.string(), destination_id: z.string().optional() })).default([]),
})

const bytes = (value: unknown): Buffer | null => {
  if (value === null || Buffer.isBuffer(value)) return value
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
}

/** Key and value: bytes, text, or what is written as JSON. */
export function message({
  key = null,
  value = null,
  offset = 0,
  timestamp = 1_700_000_000_000,
  headers = {},
}: { key?: unknown; value?: unknown } & Partial<Omit<Message, 'key' | 'value'>>): Message {
  return { offset, timestamp, headers, key: bytes(key), value: bytes(value) }
}

export interface Decoded {
  readonly records: readonly { id: string; text: string; timestamp?: Date | string; destinationId?: string }[]
  readonly said: readonly string[]
  readonly rejected: number
}

export interface Given {
  readonly topic: string
  readonly partition: number
  readonly messages: readonly Message[]
}

/** All of the messages as one page of partition 0, or of the batches that are given. */
export async function decode(
  config: z.input<typeof schema>,
  messages: readonly Message[] | readonly Given[],
  http: Http = createHttp(),
): Promise<Decoded> {
  const log = listeningLog()
  const spans = messages
    .map((one): Given => ('messages' in one ? one : { topic: 't', partition: 0, messages: [one] }))
    .map((one): Span => ({ ...one, messages: messagesOf(one.messages), start: 0, end: one.messages.length }))
  const { records, rejects } = openDecoding(schema.parse(config) as DecodingOptions, { http, log })
  const page = await records.of(spans, never)
  const found = page.records.map(({ data, ...rest }) => ({ ...rest, text: textOf(data) }))
  page.release?.()
  rejects.finish()
  return { records: found, said: log.said, rejected: rejects.count }
}

/** The text of `value` of one message. */
export async function valueText(config: z.input<typeof schema>, value: unknown, http?: Http): Promise<string> {
  const { records } = await decode(config, [message({ value })], http)
  const text = records[0]?.text ?? ''
  return text.slice(text.indexOf('"value":') + '"value":'.length, text.lastIndexOf(',"schema":'))
}
