// Pages and checkpoints to lines. A payload that came as text goes out as the bytes that came.

import { type Checkpoint, type Item, isPage } from '../checkpoint.ts'
import { LineBreaks, withoutLineBreaks } from '../json/line-breaks.ts'
import { stringifyJson } from '../json.ts'
import { RawJson, type SourceRecord } from '../record.ts'
import type { Page, StreamInfo } from '../source.ts'
import { formOf, type PipeEnd, type PipeForm, type PipeFormat } from './forms.ts'
import type { ByteOut } from './out.ts'
import type { PipeState } from './state.ts'

const BUFFER_BYTES = 1 << 18
const LF = Buffer.from('\n')

/** `open`, then pages and checkpoints, then `close`; one call at a time. */
export class PipeWriter {
  readonly #out: ByteOut
  readonly #form: PipeForm
  readonly #after: Buffer
  readonly #start: PipeState
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #used = 0
  #rows: number
  /** Records before the last STATE. */
  #stated: number
  /** What was handed on, or waits for it, ends within a line. */
  #torn = false
  #breaks: LineBreaks | undefined

  /** `start`: where the pipe begins. */
  constructor(out: ByteOut, format: PipeFormat, stream: StreamInfo, start: PipeState) {
    this.#out = out
    this.#form = formOf(format, stream)
    this.#after = Buffer.from(this.#form.after)
    this.#start = start
    this.#rows = start.rows
    this.#stated = start.rows
  }

  /** First call. Where the pipe begins, unless nobody is to know, and what its records are. */
  async open({ begin = true }: { readonly begin?: boolean } = {}): Promise<void> {
    await this.#text(`${begin ? this.#form.state(this.#start, 0) : ''}${this.#form.open}`)
    await this.flush()
  }

  async write(item: Item): Promise<void> {
    if (isPage(item)) return this.#page(item)
    const records = this.#rows - this.#stated
    this.#stated = this.#rows
    await this.#text(this.#form.state(this.#stateOf(item), records))
    await this.flush()
  }

  /** Last call. How it ended; a line that a failure has cut short is ended first. */
  async close(end: PipeEnd): Promise<void> {
    if (this.#torn && this.#form.close(end) !== '') await this.#bytes(LF, 0, LF.length)
    await this.#text(this.#form.close(end))
    await this.flush()
  }

  /** Everything so far is handed to the system. */
  async flush(): Promise<void> {
    const used = this.#used
    this.#used = 0
    if (used > 0) await this.#out.write(this.#buffer.subarray(0, used))
  }

  async #page({ records, extractedAt = new Date() }: Page): Promise<void> {
    const before = this.#form.page(extractedAt)
    this.#torn = records.length > 0
    for (const record of records) {
      this.#rows += 1
      const head = before(record, this.#rows)
      const headed = head === '' ? undefined : this.#text(head)
      if (headed) await headed
      const copied = this.#payload(record.data)
      if (copied) await copied
      const ended = this.#bytes(this.#after, 0, this.#after.length)
      if (ended) await ended
    }
    this.#torn = false
  }

  #payload(data: SourceRecord['data']): Promise<void> | undefined {
    if (!(data instanceof RawJson)) return this.#text(stringifyJson(data))
    if (this.#breaks?.buffer !== data.buffer) this.#breaks = new LineBreaks(data.buffer)
    const { buffer, start, end } = this.#breaks.within(data.start, data.end) ? withoutLineBreaks(data) : data
    return this.#bytes(buffer, start, end)
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
