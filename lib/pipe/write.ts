// Pages and checkpoints to lines. A payload that came as text goes out as the bytes that came.

import { type Checkpoint, type Item, isPage } from '../checkpoint.ts'
import { LineBreaks, withoutLineBreaks } from '../json/line-breaks.ts'
import { stringifyJson } from '../json.ts'
import { RawJson, type SourceRecord } from '../record.ts'
import type { Page, StreamInfo } from '../source.ts'
import type { ByteOut } from './out.ts'
import { type PipeState, writeState } from './state.ts'

/** `singer`: Singer messages with what a loader of ours needs. `ndjson`: bare records. */
export const PIPE_FORMATS = ['singer', 'ndjson'] as const
export type PipeFormat = (typeof PIPE_FORMATS)[number]

const BUFFER_BYTES = 1 << 18
const END = Buffer.from('}\n')

export class PipeWriter {
  readonly #out: ByteOut
  readonly #format: PipeFormat
  readonly #stream: StreamInfo
  readonly #start: PipeState
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #used = 0
  #rows: number
  #breaks: LineBreaks | undefined

  /** `start`: where the pipe begins. */
  constructor(out: ByteOut, format: PipeFormat, stream: StreamInfo, start: PipeState) {
    this.#out = out
    this.#format = format
    this.#stream = stream
    this.#start = start
    this.#rows = start.rows
  }

  /** First call. Where the pipe begins, and what its records are. */
  async open(): Promise<void> {
    if (this.#format === 'ndjson') return
    await this.#text(`{"type":"STATE","value":${writeState(this.#start)}}\n`)
    await this.#text(this.#schema(this.#stream))
    await this.flush()
  }

  async write(item: Item): Promise<void> {
    if (isPage(item)) return this.#page(item)
    if (this.#format === 'singer') await this.#text(`{"type":"STATE","value":${writeState(this.#stateOf(item))}}\n`)
    await this.flush()
  }

  /** Everything so far is handed to the system. */
  async flush(): Promise<void> {
    const used = this.#used
    this.#used = 0
    if (used > 0) await this.#out.write(this.#buffer.subarray(0, used))
  }

  async #page({ records, extractedAt }: Page): Promise<void> {
    const singer = this.#format === 'singer'
    const time = (extractedAt ?? new Date()).toISOString()
    const head = `{"type":"RECORD","stream":${JSON.stringify(this.#stream.name)},"time_extracted":"${time}","bizon":`
    for (const record of records) {
      this.#rows += 1
      const headed = singer ? this.#text(`${head}${this.#extra(record)},"record":`) : undefined
      if (headed) await headed
      const copied = this.#payload(record.data)
      if (copied) await copied
      const ended = this.#bytes(END, singer ? 0 : 1, END.length)
      if (ended) await ended
    }
  }

  #extra({ id, timestamp, destinationId }: SourceRecord): string {
    let extra = `{"n":${this.#rows},"id":${JSON.stringify(id)}`
    if (timestamp !== undefined) {
      extra += `,"at":${JSON.stringify(timestamp instanceof Date ? timestamp.toISOString() : timestamp)}`
    }
    if (destinationId !== undefined) extra += `,"to":${JSON.stringify(destinationId)}`
    return `${extra}}`
  }

  #payload(data: SourceRecord['data']): Promise<void> | undefined {
    if (!(data instanceof RawJson)) return this.#text(stringifyJson(data))
    if (this.#breaks?.buffer !== data.buffer) this.#breaks = new LineBreaks(data.buffer)
    const { buffer, start, end } = this.#breaks.within(data.start, data.end) ? withoutLineBreaks(data) : data
    return this.#bytes(buffer, start, end)
  }

  #schema({ name, schema, primaryKey = [] }: StreamInfo): string {
    const described = schema ?? { type: 'object', properties: {} }
    const head = `{"type":"SCHEMA","stream":${JSON.stringify(name)},"schema":${stringifyJson(described)}`
    return `${head},"key_properties":${JSON.stringify(primaryKey)}}\n`
  }

  #stateOf({ page, rows, end, position, watermark }: Checkpoint): PipeState {
    const { begin: _begin, watermark: _before, ...run } = this.#start
    return { ...run, page, rows, end, position, ...(watermark !== undefined && { watermark }) }
  }

  /** Undefined: done already. Most records fit, and awaiting each would take longer than copying it. */
  #text(text: string): Promise<void> | undefined {
    const most = text.length * 3
    if (most > BUFFER_BYTES) return this.#large(Buffer.from(text))
    if (most > BUFFER_BYTES - this.#used) return this.flush().then(() => this.#text(text))
    this.#used += this.#buffer.write(text, this.#used)
    return undefined
  }

  #bytes(bytes: Buffer, start: number, end: number): Promise<void> | undefined {
    if (end - start > BUFFER_BYTES) return this.#large(bytes.subarray(start, end))
    if (end - start > BUFFER_BYTES - this.#used) return this.flush().then(() => this.#bytes(bytes, start, end))
    this.#used += bytes.copy(this.#buffer, this.#used, start, end)
    return undefined
  }

  async #large(bytes: Buffer): Promise<void> {
    await this.flush()
    await this.#out.write(bytes)
  }
}
