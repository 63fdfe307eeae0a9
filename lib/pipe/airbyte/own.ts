// Of a producer of ours that speaks Airbyte: the same checks as in Singer messages (lib/pipe/own.ts), and the statuses.

import { RawJson } from '../../record.ts'
import { type Held, OwnPages } from '../own.ts'
import { broken, notJson, notUtf8, type PipePage, type PipeReader, type PipeReaderOptions } from '../read.ts'
import type { PipeState } from '../state.ts'
import { readAirbyteMessage } from './messages.ts'
import { withCount } from './stats.ts'
import { routeOf, Talk } from './talk.ts'

/** The end of such a pipe is a STATE that says so, and COMPLETE behind it. */
export class AirbyteOwnReader implements PipeReader {
  readonly #pages: OwnPages
  readonly #talk: Talk
  readonly #stream: string
  #current = ''
  /** Records since the last STATE. */
  #count = 0

  /** Behind the first line, which said `start`. `held`: what the destination holds already. */
  constructor(start: PipeState, held: Held, options: PipeReaderOptions) {
    this.#pages = new OwnPages(start, held, options)
    this.#talk = new Talk(options.log)
    this.#stream = start.begin?.stream ?? ''
    this.#turnTo(this.#stream, 1)
  }

  line(buffer: Buffer, start: number, end: number, number: number): undefined {
    const message = readAirbyteMessage(buffer, start, end)
    if (message.type === 'INVALID') throw broken(number, message.why)
    if (message.type === 'TEXT') throw notJson(buffer, start, end, number, message)
    if (message.type === 'RECORD') {
      const { stream, data, emittedAt, bizon } = message
      const route = routeOf(stream)
      if (route !== this.#current) this.#turnTo(route, number)
      if (emittedAt !== undefined && this.#pages.lacksTime) this.#pages.asked(new Date(emittedAt))
      this.#pages.record({ stream: route, record: data, ...(bizon && { bizon }) }, number)
      this.#count += 1
    } else if (message.type === 'STATE') {
      if (!message.value) throw broken(number, 'a STATE is not one of bizon')
      const told = withCount(message, this.#count)
      this.#count = 0
      this.#pages.pageEnd(message.value, number, RawJson.from(told))
    } else {
      this.#talk.hear(message, number)
    }
  }

  #turnTo(stream: string, number: number): void {
    this.#current = stream
    this.#pages.schema({ name: stream }, number)
  }

  notUtf8(buffer: Buffer, start: number, end: number, number: number): void {
    throw notUtf8(buffer, start, end, number)
  }

  take(): PipePage[] {
    return this.#pages.take()
  }

  finish(torn: boolean): PipePage[] {
    this.#talk.checkEnd([this.#stream], { always: true })
    return this.#pages.finish(torn)
  }
}
