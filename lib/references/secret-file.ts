// file://PATH: a secret that was mounted as a file, the way Docker and Kubernetes hand them out.

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { BizonError, messageOf, systemCode } from '../errors.ts'

/** Far more than any secret; bounds what a wrong path can do. */
const MAX_BYTES = 1024 * 1024

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'part of the path is not a folder',
  EACCES: 'permission denied',
  ELOOP: 'its symbolic links go in circles',
  ERR_INVALID_ARG_VALUE: 'the path holds a character that no path can hold',
}

/**
 * The contents as UTF-8, without the one line end that editors and `echo` put behind it. Relative to the working
 * directory. A pipe or a device is refused, because reading it might wait for ever.
 */
export async function readSecretFile(path: string): Promise<string> {
  const bytes = await read(path).catch((error: unknown) => {
    const why = REASONS[systemCode(error) ?? ''] ?? messageOf(error)
    throw new BizonError('config', `cannot read the file ${JSON.stringify(path)}: ${why}`, {
      hint: `ls -l ${path}`,
    })
  })
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    return text.replace(/\r?\n$/, '')
  } catch {
    throw new BizonError('config', `the file ${JSON.stringify(path)} is not UTF-8 text`)
  }
}

async function read(path: string): Promise<Buffer> {
  // Opening a pipe would wait for its other end.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = await file.stat()
    if (stats.isDirectory()) throw new Error('it is a folder')
    if (!stats.isFile()) throw new Error('it is not a regular file')
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES / 1024 / 1024} MiB`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } finally {
    await file.close()
  }
}
