// Files of certificates and keys, as the connections to servers take them.

import { readFileSync } from 'node:fs'
import { BizonError, type ErrorCode, messageOf } from '../lib/errors.ts'

/** Those that are named. Throws a BizonError of the code when one cannot be read. */
export function readTls<Name extends string>(
  files: { readonly [Key in Name]?: string | undefined },
  code: ErrorCode,
): { [Key in Name]?: Buffer } {
  const read: { [Key in Name]?: Buffer } = {}
  for (const [name, path] of Object.entries<string | undefined>(files)) {
    if (path === undefined) continue
    try {
      read[name as Name] = readFileSync(path)
    } catch (error) {
      throw new BizonError(code, `cannot read ${path}: ${messageOf(error)}`, { cause: error })
    }
  }
  return read
}
