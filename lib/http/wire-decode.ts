// Undoes `Content-Encoding`. What comes out is read chunk by chunk, so that a small answer that unpacks to gigabytes
// is noticed by whoever counts them.

import { Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib'
import { TransportError, type WireResponse } from './transport.ts'

/** The response with its body decompressed. An encoding that nobody asked for fails once the body is read. */
export function decompressed(response: WireResponse): WireResponse {
  const { 'content-encoding': encoding = '', ...headers } = response.headers
  const names = encoding
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity')
  if (names.length === 0) return response
  // It counted what is not there any more.
  const { 'content-length': _length, ...rest } = headers
  return { ...response, headers: rest, body: decode(response.body, names.reverse()) }
}

async function* decode(body: AsyncIterable<Buffer>, names: readonly string[]): AsyncGenerator<Buffer, void, void> {
  const encoded = body[Symbol.asyncIterator]()
  const first = await encoded.next()
  // HEAD, 204, 304: encoded, but not there.
  if (first.done) return
  let failed: unknown
  const source = Readable.from(
    resumed(first.value, encoded, (error) => (failed = error)),
    { objectMode: false },
  )
  let last: Readable = source
  for (const name of names) last = chained(last, decoderOf(name, first.value))
  try {
    for await (const chunk of last) yield chunk
  } catch (error) {
    if (failed !== undefined) throw failed
    const { message } = error as Error
    throw new TransportError('truncated', `the answer cannot be decompressed (${message})`, {
      sent: true,
      cause: error,
    })
  } finally {
    source.destroy()
    last.destroy()
    await encoded.return?.()
  }
}

async function* resumed(
  first: Buffer,
  rest: AsyncIterator<Buffer>,
  failed: (error: unknown) => void,
): AsyncGenerator<Buffer, void, void> {
  yield first
  try {
    for (let each = await rest.next(); !each.done; each = await rest.next()) yield each.value
  } catch (error) {
    failed(error)
    throw error
  }
}

function chained(from: Readable, decoder: Transform): Readable {
  from.on('error', (error) => decoder.destroy(error))
  return from.pipe(decoder)
}

function decoderOf(name: string, first: Buffer): Transform {
  if (name === 'gzip' || name === 'x-gzip') return createGunzip()
  if (name === 'br') return createBrotliDecompress()
  // Some servers leave out the header that `deflate` should have.
  if (name === 'deflate') return ((first[0] ?? 0) & 0x0f) === 8 ? createInflate() : createInflateRaw()
  throw new TransportError('protocol', `the answer is encoded as ${name}, which is not supported`, { sent: true })
}
