// Files of certificates and keys, as the connections to servers take them.

import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { readFailure } from '../lib/config/file.ts'
import { InvalidKey } from '../lib/config/invalid-key.ts'
import type { ConfigPath } from '../lib/config/problems.ts'
import { BizonError, type ErrorCode, messageOf } from '../lib/errors.ts'

const CONTENT = 'is the text of a certificate or key, and not the name of a file that has it'
const TO_FILE = 'Write it to a file, and name that.'
const noFile = (): string =>
  `Name a PEM file that is there; a relative path begins at the working directory, ${process.cwd()}.`
/** What people take for the name of the file. It may be a key, so that it is not shown. */
const isContent = (path: string): boolean => path.includes('-----BEGIN') || path.includes('\n')

/** Throws an InvalidKey for the key at this place when its file cannot be read. */
export function requirePem(path: string, at: ConfigPath): void {
  if (isContent(path)) throw new InvalidKey(at, CONTENT, { hint: TO_FILE })
  try {
    closeSync(openSync(path, 'r'))
    if (statSync(path).isDirectory()) throw new Error('it is a folder')
  } catch (error) {
    const reason = `cannot read ${JSON.stringify(path)}: ${readFailure(error)}`
    throw new InvalidKey(at, reason, { hint: noFile(), shown: path, cause: error })
  }
}

/** Those that are named. Throws a BizonError of the code when one cannot be read. */
export function readTls<Name extends string>(
  files: { readonly [Key in Name]?: string | undefined },
  code: ErrorCode,
): { [Key in Name]?: Buffer } {
  const read: { [Key in Name]?: Buffer } = {}
  for (const [name, path] of Object.entries<string | undefined>(files)) {
    if (path === undefined) continue
    if (isContent(path)) throw new BizonError(code, `${name} ${CONTENT}`, { hint: TO_FILE })
    try {
      read[name as Name] = readFileSync(path)
    } catch (error) {
      throw new BizonError(code, `cannot read ${path}: ${messageOf(error)}`, { hint: noFile(), cause: error })
    }
  }
  return read
}
