// How much of a file counts, and proof that it is still the same file: its length and a hash of its last bytes.
// A whole hash would mean reading everything again on every start.

import { createHash } from 'node:crypto'
import { BizonError } from '../../../lib/errors.ts'
import { faultPoint } from '../../../lib/fault.ts'
import { type Disk, readFrom, sizeOfFile, withFile } from './disk.ts'

export interface Extent {
  readonly bytes: number
  /** SHA-256 of the last `bytes` bytes before the extent's end. */
  readonly tail: { readonly bytes: number; readonly sha256: string }
}

export const TAIL_BYTES = 4096

export function extentOf(bytes: number, tail: Buffer): Extent {
  return { bytes, tail: { bytes: tail.length, sha256: createHash('sha256').update(tail).digest('hex') } }
}

/** The bytes that the extent's hash is made of. */
export async function readTail(disk: Disk, path: string, bytes: number): Promise<Buffer> {
  const length = Math.min(bytes, TAIL_BYTES)
  if (length === 0) return Buffer.alloc(0)
  return withFile(disk, path, 'read', (file) => readFrom(file, bytes - length, length))
}

/** Rejects unless the file begins with the extent, and with `whole` has nothing behind it. Resolves to the file's size. */
export async function checkExtent(
  disk: Disk,
  path: string,
  extent: Extent,
  { whole, hint }: { whole: boolean; hint: string },
): Promise<number> {
  const size = await sizeOfFile(disk, path)
  if (size < extent.bytes || (whole && size > extent.bytes)) {
    throw edited(path, `it has ${size} bytes, and the last commit left ${extent.bytes}`, hint)
  }
  const actual = extentOf(extent.bytes, await readTail(disk, path, extent.bytes))
  if (actual.tail.sha256 !== extent.tail.sha256) {
    throw edited(path, `the ${extent.tail.bytes} bytes before byte ${extent.bytes} are not those it wrote`, hint)
  }
  return size
}

/** Cuts off what is behind the last commit. */
export async function cutTo(disk: Disk, path: string, bytes: number): Promise<void> {
  await withFile(disk, path, 'write', async (file) => {
    await file.truncate(bytes)
    await file.sync()
  })
  faultPoint('recover.truncate')
}

export function edited(path: string, difference: string, hint: string): BizonError {
  return new BizonError('edited', `${path} was changed by somebody else: ${difference}`, { hint })
}
