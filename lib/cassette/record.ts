// `--record`: what goes over the wire is passed on as it is, and written down once it is whole.

import { type FileHandle, open } from 'node:fs/promises'
import manifest from '../../package.json' with { type: 'json' }
import { BizonError, messageOf, systemCode } from '../errors.ts'
import {
  type Hidden,
  type OpenTransport,
  TransportError,
  type WireRequest,
  type WireResponse,
} from '../http/transport.ts'
import { Concealer } from './redact.ts'
import { FORMAT, failureOf, type TapeAnswer, type TapeRequest, written } from './tape.ts'

/** Of an answer: they change from one recording to the next and say nothing. */
const NOISE = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding'])
const NOTHING: Hidden = { secrets: [], fields: [] }

/** A cassette that is being recorded. The file is made with the first exchange. */
export class Recorder {
  readonly #path: string
  readonly #concealer = new Concealer()
  #file: Promise<FileHandle> | undefined
  #last: Promise<void> = Promise.resolve()
  #exchanges = 0

  constructor(path: string) {
    this.#path = path
  }

  /** Exchanges so far. */
  get exchanges(): number {
    return this.#exchanges
  }

  around(wire: OpenTransport): OpenTransport {
    return async (settings) => {
      const inner = await wire(settings)
      return {
        waits: inner.waits,
        close: () => inner.close(),
        send: async (request, signal) => {
          this.#concealer.learn(request.hidden ?? NOTHING)
          try {
            const answer = await inner.send(request, signal)
            return { ...answer, body: this.#body(request, answer) }
          } catch (error) {
            if (error instanceof TransportError && !signal.aborted) await this.#write(request, this.#failure(error))
            throw error
          }
        },
      }
    }
  }

  /** Waits until everything is written. Safe twice. */
  async close(): Promise<void> {
    await this.#last.catch(() => {}) // told to whoever wrote it
    const file = await this.#file?.catch(() => undefined)
    this.#file = undefined
    await file?.close()
  }

  /** The body as it comes in; when it is over, however that came, it is written down before its reader goes on. */
  async *#body(request: WireRequest, answer: WireResponse): AsyncGenerator<Buffer, void, void> {
    const chunks: Buffer[] = []
    let end: TapeAnswer | undefined = { cut: true }
    try {
      for await (const chunk of answer.body) {
        chunks.push(chunk)
        yield chunk
      }
      end = {}
    } catch (error) {
      end = error instanceof TransportError ? this.#failure(error) : undefined
      throw error
    } finally {
      if (end !== undefined) await this.#write(request, this.#answer(request, answer, Buffer.concat(chunks), end))
    }
  }

  #answer({ hidden }: WireRequest, { status, headers }: WireResponse, body: Buffer, end: TapeAnswer): TapeAnswer {
    const plain = Object.entries(headers).filter(([name]) => !NOISE.has(name) && (end.cut || name !== 'content-length'))
    return {
      status,
      headers: this.#concealer.answerHeaders(Object.fromEntries(plain)),
      ...written(this.#concealer.answerBody(body, hidden?.fields ?? [])),
      ...end,
    }
  }

  #failure(error: TransportError): TapeAnswer {
    return { failure: failureOf(error, (text) => this.#concealer.text(text)) }
  }

  /** Both lines in one write, after those before: a tape that is cut off is whole up to its last exchange. */
  async #write(request: WireRequest, answer: TapeAnswer): Promise<void> {
    const asked: TapeRequest = {
      method: request.method,
      url: this.#concealer.url(request.url),
      headers: this.#concealer.requestHeaders(request.headers),
      ...written(this.#concealer.requestBody(request)),
    }
    const lines = `${JSON.stringify({ request: asked })}\n${JSON.stringify({ answer })}\n`
    this.#exchanges++
    this.#last = this.#last.then(async () => {
      try {
        this.#file ??= create(this.#path)
        await (await this.#file).appendFile(lines)
      } catch (error) {
        throw unwritable(this.#path, error)
      }
    })
    await this.#last
  }
}

async function create(path: string): Promise<FileHandle> {
  const file = await open(path, 'ax')
  await file.appendFile(`${JSON.stringify({ cassette: FORMAT, bizon: manifest.version })}\n`)
  return file
}

/** Refuses what cannot be recorded to, before anything is asked for. */
export function unwritable(path: string, error: unknown): BizonError {
  if (error instanceof BizonError) return error
  if (systemCode(error) === 'EEXIST') {
    return new BizonError('usage', `the cassette ${path} is there already`, {
      hint: `record to another file, or remove it: rm ${path}`,
      cause: error,
    })
  }
  const why = systemCode(error) === 'ENOENT' ? 'its folder does not exist' : messageOf(error)
  return new BizonError('source', `cannot write the cassette ${path}: ${why}`, { cause: error })
}
