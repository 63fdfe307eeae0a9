// Parquet files to pages: one row group at a time is held, its rows printed as JSON. A position is the number of rows that
// were read, and the size and last bytes of the file, by which it is told from others.

import { open } from 'node:fs/promises'
import { BizonError, messageOf } from '../../../lib/errors.ts'
import { type Libraries, loadParquet, openPart, type PartFile } from '../../parquet.ts'
import { changeOf, identityOf } from './identity.ts'
import { printerOf } from './parquet-values.ts'
import { cannotRead, type FileToRead } from './paths.ts'
import { changedFile, TAIL_BYTES, Tail } from './progress.ts'
import type { Reader } from './recognise.ts'

/** Yields whenever there is enough for a page: at the end of a row group, too, wherever the read began. */
export async function* readParquet({ path }: FileToRead, reader: Reader): AsyncGenerator<undefined, void, void> {
  const { progress, rows, signal, settings } = reader
  rows.file = path
  const libraries = await loadParquet('source')
  const handle = await open(path).catch((error: unknown) => {
    throw cannotRead(path, error)
  })
  try {
    const { size } = await handle.stat()
    const identity = await identityOf(path)
    const readRange = async (offset: number, length: number): Promise<Buffer> => {
      const bytes = Buffer.allocUnsafe(Math.max(0, length))
      let done = 0
      while (done < length) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done)
        if (bytesRead === 0) break
        done += bytesRead
      }
      return bytes.subarray(0, done)
    }
    const end = await readRange(Math.max(0, size - TAIL_BYTES), Math.min(size, TAIL_BYTES))
    const tail = new Tail(end).hash
    const place = progress.at(path)
    if (place.offset > 0) {
      if (place.offset !== size || place.tail !== tail) {
        throw changedFile(path, 'is not the file it was', reader.resumption)
      }
      const change = place.file !== undefined && identity !== undefined ? changeOf(place.file, identity) : undefined
      if (reader.mode === 'full_refresh' && change !== undefined) {
        throw changedFile(path, `is not the file it was: ${change}`, 'replaced')
      }
    }
    const part = await openFile(path, size, readRange, libraries)
    let line = place.line
    const move = (): void => progress.move(path, { offset: size, line, tail, file: identity })
    let start = 0
    for (const [group, count] of part.groups.entries()) {
      const [from, to] = [start, start + count]
      start = to
      if (to <= line) continue
      if (signal.aborted) return
      const print = await printerOfGroup(path, part, group)
      if (signal.aborted) return
      while (line < to) {
        let buffer = rows.pool.take(settings.page_bytes)
        let used = 0
        let bytes = 0
        while (line < to && bytes < settings.page_bytes && !rows.pausing) {
          const text = print(line - from)
          if (buffer.length - used < text.length * 3) {
            buffer = rows.pool.take(Math.max(settings.page_bytes, text.length * 3))
            used = 0
          }
          const written = buffer.write(text, used)
          line += 1
          if (written > rows.maxBytes) {
            rows.rejectLong(line, buffer.subarray(used, used + written))
          } else {
            rows.add(buffer, used, used + written, line)
            used += written
          }
          bytes += written
        }
        if (reader.invalid.due) await reader.invalid.settle()
        move()
        reader.bytesSincePage += bytes
        yield undefined
        if (signal.aborted) return
      }
    }
    if (part.rows === 0) move()
  } finally {
    await handle.close()
  }
}

async function openFile(
  path: string,
  size: number,
  readRange: (offset: number, length: number) => Promise<Buffer>,
  libraries: Libraries,
): Promise<PartFile> {
  try {
    return await openPart(libraries, size, readRange)
  } catch (error) {
    throw new BizonError('source', `${path} is cut off, or no Parquet file: ${messageOf(error)}`, {
      cause: error,
      hint: 'Fetch the file again; nothing was published.',
    })
  }
}

/** Prints the n-th row of the group. */
async function printerOfGroup(path: string, part: PartFile, group: number): Promise<(row: number) => string> {
  try {
    const columns = await part.read(group)
    const print = printerOf(part.schema)
    return (row) => {
      try {
        return print(columns, row)
      } catch (error) {
        throw unreadable(path, `row ${row + 1} of row group ${group + 1}`, error)
      }
    }
  } catch (error) {
    throw unreadable(path, `row group ${group + 1}`, error)
  }
}

function unreadable(path: string, where: string, error: unknown): BizonError {
  const message = messageOf(error)
  return new BizonError('source', `${path} is damaged or not to be read, in ${where}: ${message}`, {
    cause: error,
    hint: hintFor(message),
  })
}

function hintFor(message: string): string {
  if (message.includes('unsupported compression codec')) {
    return 'Write the file with snappy, gzip or no compression; zstd needs Node 22.15 or newer.'
  }
  if (message.includes('not supported')) return 'Write the file without columns of that type, or with another one.'
  return 'Fetch the file again; nothing was published.'
}
