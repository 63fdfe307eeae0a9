// Pages and checkpoints to lines. A payload that came as text goes out as the bytes that came.

import { type Checkpoint, type Item, isPage } from '../checkpoint.ts'
import { LineBreaks, withoutLineBreaks } from '../json/line-breaks.ts'
import { stringifyJson } from '../json.ts'
import { RawJson, type SourceRecord } from '../record.ts'
import type { Page, StreamInfo } from '../source.ts'
import type { Bookmarks } from './bookmarks.ts'
import { BufferedOut } from './buffered.ts'
import { formOf, type PipeEnd, type PipeForm, type PipeFormat } from './forms.ts'
import type { ByteOut } from './out.ts'
import type { PipeState } from './state.ts'

const LF = Buffer.from('\n')

export interface PipeWriterOptions {
  /** See `BufferedOut`. */
  readonly failed?: (error: unknown) => void
  /** See `formOf`. */
  readonly among?: Bookmarks | undefined
}

/** `open`, then pages and checkpoints, then `close`; one call at a time. */
export class PipeWriter {
  readonly #out: BufferedOut
  readonly #spell: (stream: StreamInfo) => PipeForm
  /** The pipeline's, and its form. */
  readonly #stream: StreamInfo
  readonly #form: PipeForm
  /** Of all that came, by name. */
  readonly #forms = new Map<string, { readonly stream: StreamInfo; readonly form: PipeForm }>()
  readonly #after: Buffer
  readonly #start: PipeState
  #rows: number
  /** Records before the last STATE. */
  #stated: number
  /** What was handed on, or waits for it, ends within a line. */
  #torn = false
  #breaks: LineBreaks | undefined
  /** Of the records that were written last. */
  #current: PipeForm

  /** `start`: where the pipe begins. */
  constructor(
    out: ByteOut,
    format: PipeFormat,
    stream: StreamInfo,
    start: PipeState,
    { failed, among }: PipeWriterOptions = {},
  ) {
    this.#out = new BufferedOut(out, failed)
    const one = among && { bookmarks: among, version: among.whole ? start.at.getTime() : undefined }
    this.#spell = (of) => formOf(format, of, one)
    this.#stream = stream
    this.#form = this.#spell(stream)
    this.#current = this.#form
    this.#forms.set(stream.name, { stream, form: this.#form })
    this.#after = Buffer.from(this.#form.after)
    this.#start = start
    this.#rows = start.rows
    this.#stated = start.rows
  }

  /** First call. Where the pipe begins, unless nobody is to know, and what its records are. */
  async open({ begin = true }: { readonly begin?: boolean } = {}): Promise<void> {
    await this.#out.text(`${begin ? this.#form.state(this.#start, 0) : ''}${this.#form.open}`)
    await this.#out.settle()
  }

  /** A checkpoint, and all before it, is on its way to the reader when this resolves. */
  async write(item: Item): Promise<void> {
    if (isPage(item)) return this.#page(item)
    const records = this.#rows - this.#stated
    this.#stated = this.#rows
    await this.#out.text(this.#form.state(this.#stateOf(item), records))
    await this.#out.push()
  }

  /** All that was written is taken when this resolves. */
  async settle(): Promise<void> {
    await this.#out.settle()
  }

  /** Behind a page: the lines with which a pipe of what follows would begin. `state`: what stands behind the page. */
  opening(state: PipeState): string {
    return `${this.#form.state(state, 0)}${this.#current.open}`
  }

  /** Between two calls of `write`, when there was none for long. */
  async idle(): Promise<void> {
    await this.#out.text(this.#current.idle)
    await this.#out.push()
  }

  /** Last call. How it ended; a line that a failure has cut short is ended first. */
  async close(end: PipeEnd): Promise<void> {
    const text = [...this.#forms.values()].map(({ form }) => form.close(end)).join('')
    if (this.#torn && text !== '') await this.#out.bytes(LF)
    await this.#out.text(text)
    await this.#out.settle()
  }

  async #page({ records, stream = this.#stream, extractedAt = new Date() }: Page): Promise<void> {
    if (records.length === 0) return
    const form = await this.#turnTo(stream)
    const before = form.page(extractedAt)
    this.#torn = true
    for (const record of records) {
      this.#rows += 1
      const headed = before?.(this.#out, record, this.#rows)
      if (headed) await headed
      const copied = this.#payload(record.data)
      if (copied) await copied
      const ended = this.#out.bytes(this.#after)
      if (ended) await ended
    }
    this.#torn = false
  }

  /** A source may give pages of several streams, or of one whose schema has changed. */
  async #turnTo(stream: StreamInfo): Promise<PipeForm> {
    const known = this.#forms.get(stream.name)
    // Of a format that does not say what a stream is, there is nothing new to be said of one that is known.
    const isSpelled = known !== undefined && (known.stream === stream || known.form.turn === '')
    const form = isSpelled ? known.form : this.#spell(stream)
    if (!isSpelled) this.#forms.set(stream.name, { stream, form })
    if (form !== this.#current) await this.#out.text(known ? form.turn : form.open)
    this.#current = form
    return form
  }

  #payload(data: SourceRecord['data']): Promise<void> | undefined {
    if (!(data instanceof RawJson)) return this.#out.text(stringifyJson(data))
    if (this.#breaks?.buffer !== data.buffer) this.#breaks = new LineBreaks(data.buffer)
    const { buffer, start, end } = this.#breaks.within(data.start, data.end) ? withoutLineBreaks(data) : data
    return this.#out.bytes(buffer, start, end)
  }

  #stateOf({ page, rows, end, position, watermark, reading }: Checkpoint): PipeState {
    const { begin: _begin, watermark: _before, reading: __, ...run } = this.#start
    return {
      ...{ ...run, page, rows, end, position },
      ...(watermark !== undefined && { watermark }),
      ...(reading !== undefined && { reading }),
    }
  }
}
