// What is generated into the tree is committed, so that people can read it and a change of it can be reviewed.
// A test compares; `npm run docs`, which sets BIZON_RECORD=1, writes.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect } from 'vitest'
import { CHECKOUT } from './sandbox.ts'

export const RECORD = process.env.BIZON_RECORD === '1'

/** The committed file; empty when there is none yet. */
export async function committed(path: string): Promise<string> {
  return readFile(join(CHECKOUT, path), 'utf8').catch(() => '')
}

/** The file must be this text, or becomes it. */
export async function expectRecorded(path: string, fresh: string): Promise<void> {
  if (!RECORD) return expect(await committed(path), `${path} is stale; write it anew: npm run docs`).toBe(fresh)
  await mkdir(dirname(join(CHECKOUT, path)), { recursive: true })
  await writeFile(join(CHECKOUT, path), fresh)
}

/** What stands between `<!-- name… -->` and `<!-- end of name -->`; undefined when the two are not there, once each. */
export function region(text: string, name: string): string | undefined {
  const found = [...text.matchAll(new RegExp(`<!-- ${name}(?:: [^>]*)? -->\\n(.*?)<!-- end of ${name} -->`, 'gs'))]
  return found.length === 1 ? found[0]?.[1] : undefined
}
