// `--replay`: answers come from a cassette, each once, in the order they were recorded in for the same request.
// Of the tape only the places of its exchanges are held; an answer is read when it is asked for.

import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { BizonError, messageOf, systemCode } from '../errors.ts'
import type { OpenTransport, WireRequest, WireResponse } from '../http/transport.ts'
import type { Log } from '../log.ts'
import { Concealer } from './redact.ts'
import {
  ANSWER,
  bytesOfBody,
  checkHeader,
  isIndexed,
  isRequest,
  type Line,
  linesOf,
  malformed,
  parseAnswer,
  parseRequest,
  type TapeAnswer,
  type TapeRequest,
  thrownAgain,
  written,
} from './tape.ts'

/** Where an answer is. */
interface Place {
  readonly start: number
  readonly end: number
  readonly line: number
}

/** The answers to one request. */
interface Track {
  readonly places: Place[]
  used: number
}

export class Player {
  readonly #path: string
  readonly #log: Log
  readonly #concealer = new Concealer()
  readonly #tracks = new Map<string, Track>()
  #loading: Promise<FileHandle> | undefined
  #exchanges = 0
  #used = 0
  #asked = false

  constructor(path: string, log: Log) {
    this.#path = path
    this.#log = log
  }

  /** Exchanges on the tape. */
  get exchanges(): number {
    return this.#exchanges
  }

  /** How many of them were asked for. */
  get used(): number {
    return this.#used
  }

  /** Whether anything was asked for, on the tape or not. */
  get asked(): boolean {
    return this.#asked
  }

  readonly transport: OpenTransport = () => ({
    waits: false,
    close: async () => {},
    send: (request, signal) => this.#send(request, signal),
  })

  /** Reads the tape through once, which finds what is wrong with it. Rejects then. */
  async load(): Promise<void> {
    this.#loading ??= this.#index()
    await this.#loading
  }

  /** Safe twice. */
  async close(): Promise<void> {
    const file = await this.#loading?.catch(() => undefined)
    this.#loading = undefined
    await file?.close()
  }

  async #send(request: WireRequest, signal: AbortSignal): Promise<WireResponse> {
    signal.throwIfAborted()
    await this.load()
    if (request.hidden) this.#concealer.learn(request.hidden)
    const asked: TapeRequest = {
      method: request.method,
      url: this.#concealer.url(request.url),
      headers: {},
      ...written(this.#concealer.requestBody(request)),
    }
    const track = this.#tracks.get(keyOf(asked))
    const place = track?.places[track.used]
    this.#asked = true
    if (!track || !place) throw await this.#missing(asked, track)
    track.used++
    this.#used++
    const answer = await this.#read(place)
    signal.throwIfAborted()
    if (answer.status === undefined) throw thrownAgain(answer.failure ?? unsaid)
    return { status: answer.status, headers: answer.headers ?? {}, body: bodyOf(answer) }
  }

  async #index(): Promise<FileHandle> {
    const path = this.#path
    let request: { key: string; line: Line } | undefined
    let lines = 0
    try {
      for await (const line of linesOf(path, isIndexed)) {
        lines++
        if (line.number === 1) checkHeader(line, path)
        else if (line.start === line.end) continue
        else if (line.open) {
          this.#log.warn(`${path} is cut off in line ${line.number}: the exchange that it belongs to is left out`)
          request = undefined
        } else if (request) {
          if (!line.beginning.startsWith(ANSWER)) throw malformed(path, line.number, 'an answer is expected here')
          this.#add(request.key, { start: line.start, end: line.end, line: line.number })
          request = undefined
        } else if (isRequest(line.beginning)) request = { key: keyOf(parseRequest(line, path)), line }
        else throw malformed(path, line.number, 'a request is expected here')
      }
    } catch (error) {
      throw error instanceof BizonError ? error : unreadable(path, error)
    }
    if (lines === 0) checkHeader(undefined, path)
    if (request) {
      this.#log.warn(`${path} ends with a request in line ${request.line.number} that has no answer: it is left out`)
    }
    return open(path, 'r').catch((error: unknown) => {
      throw unreadable(path, error)
    })
  }

  #add(key: string, place: Place): void {
    const track = this.#tracks.get(key)
    if (track) track.places.push(place)
    else this.#tracks.set(key, { places: [place], used: 0 })
    this.#exchanges++
  }

  async #read({ start, end, line }: Place): Promise<TapeAnswer> {
    const file = await this.#loading
    const buffer = Buffer.allocUnsafe(end - start)
    const { bytesRead } = (await file?.read(buffer, 0, buffer.length, start)) ?? { bytesRead: 0 }
    if (bytesRead < buffer.length) throw malformed(this.#path, line, 'the file has changed')
    return parseAnswer(buffer.toString(), line, this.#path)
  }

  async #missing(asked: TapeRequest, track: Track | undefined): Promise<BizonError> {
    const what = `${asked.method} ${asked.url}`
    const times = track?.places.length
    const said =
      times === undefined
        ? `${what} is not on the cassette ${this.#path}${await this.#nearest(asked)}`
        : `${what} is on the cassette ${this.#path} ${times === 1 ? 'once' : `${times} times`}, last answered in ` +
          `line ${track?.places.at(-1)?.line}, and is asked for once more`
    return new BizonError('source', said, {
      hint: 'a cassette answers what was asked when it was recorded: use the same config and the same state, or record a new one',
    })
  }

  /** What on the tape is most like it. */
  async #nearest(asked: TapeRequest): Promise<string> {
    let best: { likeness: number; request: TapeRequest; line: number } | undefined
    for await (const line of linesOf(this.#path, isRequest)) {
      if (line.text === undefined || line.open) continue
      const request = parseRequest(line, this.#path)
      const likeness = likenessOf(asked, request)
      if (likeness > (best?.likeness ?? 0)) best = { likeness, request, line: line.number }
    }
    if (!best) return ''
    const { request, line } = best
    if (request.method === asked.method && request.url === asked.url) return `; line ${line} has it with another body`
    return `; nearest is line ${line}: ${request.method} ${request.url}`
  }
}

const unsaid = { reason: 'connection', message: 'no answer', sent: true } as const

async function* bodyOf(answer: TapeAnswer): AsyncGenerator<Buffer, void, void> {
  const body = bytesOfBody(answer)
  if (body.length > 0) yield body
  if (answer.failure) throw thrownAgain(answer.failure)
}

/** Method, URL and body, all without secrets. */
function keyOf({ method, url, body, base64 }: TapeRequest): string {
  const hash = createHash('sha256').update(JSON.stringify([method, url, body ?? null, base64 ?? null]))
  return hash.digest('base64').slice(0, 22)
}

/** How much of the URLs is the same, from the front and from the back; the method counts a little. */
function likenessOf(asked: TapeRequest, other: TapeRequest): number {
  const [one, two] = [asked.url, other.url]
  const most = Math.min(one.length, two.length)
  let front = 0
  while (front < most && one[front] === two[front]) front++
  let back = 0
  while (back < most - front && one[one.length - 1 - back] === two[two.length - 1 - back]) back++
  return (front + back) / Math.max(one.length, two.length, 1) + (asked.method === other.method ? 0.1 : 0)
}

function unreadable(path: string, error: unknown): BizonError {
  const why = systemCode(error) === 'ENOENT' ? 'no such file' : messageOf(error)
  return new BizonError('config', `cannot read the cassette ${path}: ${why}`, { cause: error })
}
