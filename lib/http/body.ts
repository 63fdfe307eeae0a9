// An answer's body in one piece, within a bound. Records are sliced out of it by reference, so that it is copied once.

/** Says that there was more than the bound; the rest was not read. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge'
}

/** All of it. Throws TooLarge before more than `most` bytes are held. */
export async function readAll(
  body: AsyncIterable<Buffer>,
  headers: Readonly<Record<string, string>>,
  most: number,
): Promise<Buffer> {
  const announced = Number(headers['content-length'] ?? 0)
  const chunks: Buffer[] = []
  let size = 0
  // Leaving the loop early ends the body, which closes the connection.
  for await (const chunk of body) {
    size += chunk.length
    if (size > most || announced > most) throw new TooLarge()
    chunks.push(chunk)
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)
}

/** Its beginning, for a message; whatever breaks it off. */
export async function readBeginning(body: AsyncIterable<Buffer>, most: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      chunks.push(chunk)
      size += chunk.length
      if (size >= most) break
    }
  } catch {
    // The status says more than that the rest of its text is missing.
  }
  return Buffer.concat(chunks).subarray(0, most)
}
