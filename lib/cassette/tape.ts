// How a cassette is written: NDJSON, so that it diffs. A header, then two lines for each exchange, the request and what
// came of it:
//
//   {"cassette":1,"bizon":"0.1.0"}
//   {"request":{"method":"GET","url":"https://api.example/items?key=***","headers":{…}}}
//   {"answer":{"status":200,"headers":{…},"body":"{\"items\":[]}"}}
//
// A body that is no UTF-8 stands as `base64`. An answer that broke off has a `failure` beside what came before it; one
// that nobody read to its end is `cut`. When none came there is only the failure.

import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { BizonError, messageOf } from '../errors.ts'
import { TransportError, type TransportReason } from '../http/transport.ts'
import { isMapping } from '../references.ts'

export const FORMAT = 1

export interface Body {
  readonly body?: string
  readonly base64?: string
}

export interface TapeRequest extends Body {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

export interface Failure {
  readonly reason: TransportReason
  readonly message: string
  readonly sent: boolean
  readonly limit?: string
}

export interface TapeAnswer extends Body {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly failure?: Failure
  readonly cut?: true
}

export function written(body: Buffer): Body {
  if (body.length === 0) return {}
  return isUtf8(body) ? { body: body.toString() } : { base64: body.toString('base64') }
}

export function bytesOfBody({ body, base64 }: Body): Buffer {
  if (base64 !== undefined) return Buffer.from(base64, 'base64')
  return Buffer.from(body ?? '')
}

export function failureOf({ reason, message, sent, limit }: TransportError, hide: (text: string) => string): Failure {
  return { reason, message: hide(message), sent, ...(limit !== undefined && { limit }) }
}

export function thrownAgain({ reason, message, sent, limit }: Failure): TransportError {
  return new TransportError(reason, message, { sent, ...(limit !== undefined && { limit }) })
}

/** A line of the file, without its line end. */
export interface Line {
  /** From 1. */
  readonly number: number
  readonly start: number
  readonly end: number
  /** Its first bytes. */
  readonly beginning: string
  /** Absent for lines that do not begin as wanted. */
  readonly text: string | undefined
  /** Whether the file ends within it. */
  readonly open: boolean
}

const NEWLINE = 0x0a
const PREFIX = 12

/** Line by line. Only the text of lines that `wanted` asks for, by how they begin, is held. */
export async function* linesOf(path: string, wanted: (beginning: string) => boolean): AsyncGenerator<Line, void, void> {
  let number = 1
  let start = 0
  let at = 0
  let kept: Buffer[] = []
  let beginning = ''

  const keep = (piece: Buffer): void => {
    const knew = beginning.length
    if (knew < PREFIX) beginning += piece.toString('latin1', 0, PREFIX - knew)
    if (knew < PREFIX || wanted(beginning)) kept.push(piece)
  }
  const line = (end: number, open: boolean): Line => {
    const text = wanted(beginning) ? Buffer.concat(kept).toString() : undefined
    const made: Line = { number, start, end, beginning, text, open }
    number++
    start = end + 1
    kept = []
    beginning = ''
    return made
  }

  const file = createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>
  for await (const chunk of file) {
    let from = 0
    for (let to = chunk.indexOf(NEWLINE); to !== -1; to = chunk.indexOf(NEWLINE, from)) {
      keep(chunk.subarray(from, to))
      yield line(at + to, false)
      from = to + 1
    }
    keep(chunk.subarray(from))
    at += chunk.length
  }
  if (at > start) yield line(at, true)
}

const HEADER = '{"cassette":'
export const REQUEST = '{"request":'
export const ANSWER = '{"answer":'

export const isRequest = (beginning: string): boolean => beginning.startsWith(REQUEST)
/** What an index is made of: all but the answers. */
export const isIndexed = (beginning: string): boolean => isRequest(beginning) || beginning.startsWith(HEADER)

export function parseRequest({ text, number }: Line, path: string): TapeRequest {
  const { request } = parsed(text ?? '', number, path)
  if (!isMapping(request) || typeof request.method !== 'string' || typeof request.url !== 'string') {
    throw malformed(path, number)
  }
  return request as unknown as TapeRequest
}

export function parseAnswer(text: string, number: number, path: string): TapeAnswer {
  const { answer } = parsed(text, number, path)
  if (!isMapping(answer) || (typeof answer.status !== 'number' && !isMapping(answer.failure))) {
    throw malformed(path, number)
  }
  return answer
}

/** The first line. */
export function checkHeader(line: Line | undefined, path: string): void {
  let format: unknown
  try {
    format = (JSON.parse(line?.text ?? '') as Record<string, unknown>).cassette
  } catch {
    // Whatever it is.
  }
  if (line?.open || format === undefined || format === null) {
    throw new BizonError('config', `${path} is not a cassette: its first line is not {"cassette":${FORMAT},…}`, {
      hint: 'bizon run FILENAME --record NEW.cassette makes one',
    })
  }
  if (format !== FORMAT) {
    throw new BizonError('config', `${path} is a cassette of format ${String(format)}; this version reads ${FORMAT}`, {
      hint: 'use the version of bizon that recorded it, or a newer one',
    })
  }
}

function parsed(text: string, number: number, path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (isMapping(value)) return value
  } catch (error) {
    throw malformed(path, number, messageOf(error))
  }
  throw malformed(path, number)
}

export function malformed(path: string, number: number, why?: string): BizonError {
  return new BizonError(
    'config',
    `${path}:${number}: not a line of a cassette${why === undefined ? '' : ` (${why})`}`,
    {
      hint: 'record it again, or restore the line',
    },
  )
}
