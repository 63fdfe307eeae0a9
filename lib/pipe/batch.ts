// Records that a tap has put into files, one JSON object a line, and only names in the pipe. The files are read a block
// at a time, and stay: whoever made them knows who else reads them.

import { createReadStream, existsSync } from 'node:fs'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { BizonError, messageOf } from '../errors.ts'
import { parseJson } from '../json.ts'
import { isMapping } from '../references.ts'
import { isListOfNames } from './json-schema.ts'
import { type Lines, wholeLines } from './lines.ts'
import type { BatchMessage } from './messages.ts'
import { broken } from './read.ts'

export interface BatchFile {
  readonly path: string
  readonly gzip: boolean
}

/** The files that the message names, in order. `number` is that of its line. */
export function filesOf({ encoding, manifest }: BatchMessage, number: number): readonly BatchFile[] {
  const how = encoding && parseJson(encoding.toString())
  const { format, compression = null } = isMapping(how) ? how : {}
  if (format !== 'jsonl') {
    const hint = 'Let the tap write jsonl, or send records.'
    throw unreadable(number, `the format ${JSON.stringify(format)} cannot be read; jsonl can`, hint)
  }
  if (compression !== null && compression !== 'none' && compression !== 'gzip') {
    const hint = 'Let the tap use gzip or none.'
    throw unreadable(number, `the compression ${JSON.stringify(compression)} cannot be read; gzip and none can`, hint)
  }
  const names = parseJson(manifest.toString())
  if (!isListOfNames(names)) throw broken(number, 'the manifest of a BATCH is no list of names')
  return names.map((name) => ({ path: pathOf(name, number), gzip: compression === 'gzip' }))
}

/**
 * Of `file:///folder/name`, and of what is seen instead: `file://folder/name` is relative, and no scheme at all is a path.
 * Characters may be percent-encoded.
 */
function pathOf(uri: string, number: number): string {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(uri)?.[1]?.toLowerCase()
  if (scheme !== undefined && scheme !== 'file') {
    throw unreadable(number, `${uri} is not on this machine`, 'Let the tap write to a local folder: file:///…')
  }
  const path = uri.replace(/^file:(?:\/\/(?:localhost(?=\/))?)?/i, '')
  if (!path.includes('%') || existsSync(path)) return path
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** The file in blocks of whole lines. */
export async function* linesOf({ path, gzip }: BatchFile, signal: AbortSignal): AsyncGenerator<Lines, void, void> {
  const file = createReadStream(path)
  const chunks = gzip ? pipeline(file, createGunzip(), () => {}) : file
  try {
    yield* wholeLines(chunks, signal)
  } catch (error) {
    if (signal.aborted || error instanceof BizonError) throw error
    throw new BizonError('source', `cannot read ${path}, which a BATCH names: ${messageOf(error)}`, {
      cause: error,
      hint: 'The files must be there until the load has ended, and be read from the folder it runs in.',
    })
  } finally {
    chunks.destroy()
    file.destroy()
  }
}

function unreadable(number: number, what: string, hint: string): BizonError {
  return new BizonError('source', `line ${number} of the pipe: a BATCH: ${what}`, { hint })
}
