// Runs by-hand.ts: Node 20 reads no TypeScript.

import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** @returns {Promise<typeof import('./by-hand.ts')>} */
export async function byHand() {
  const outfile = fileURLToPath(
    new URL(`../../../node_modules/.cache/bizon-services/${process.pid}.mjs`, import.meta.url),
  )
  await mkdir(fileURLToPath(new URL('../../../node_modules/.cache/bizon-services', import.meta.url)), {
    recursive: true,
  })
  await build({
    entryPoints: [fileURLToPath(new URL('by-hand.ts', import.meta.url))],
    bundle: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    outfile,
  })
  return import(outfile)
}
