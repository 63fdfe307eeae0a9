// Twins of the program: bundled from the same source but for a piece of text, which is a fault on purpose. The product itself
// has no branch for it.

import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { notBundled } from '../../.ci/externals.mjs'
import { ROOT } from './workspace.ts'

export interface Replacement {
  /** Path in the repository. */
  readonly file: string
  /** Must be there exactly once: else the source has changed, and the twin is no longer what it was. */
  readonly find: string
  readonly replace: string
}

/** Within the repository, so that packages that are not bundled are found. */
const TWINS = join(ROOT, 'node_modules', '.cache', 'bizon-twins')

export interface Twin {
  /** To be run in the place of the built `bizon`. */
  readonly program: string
  /** In the place of the built `bizon-extract` and `bizon-load`. */
  readonly extract: string
  readonly load: string
  remove(): Promise<void>
}

export async function buildTwin(name: string, replacements: readonly Replacement[]): Promise<Twin> {
  const folder = join(TWINS, `${name.replaceAll(/\W+/g, '-')}-${process.pid}`)
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['bin/bizon.ts', 'bin/bizon-extract.ts', 'bin/bizon-load.ts'],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // Also what is bundled in the product and no twin is about: most of the work would be to read it.
    external: [...notBundled(), 'undici'],
    banner: { js: "import{createRequire as twin}from'node:module';const require=twin(import.meta.url);" },
    logLevel: 'silent',
    plugins: [replacing(replacements)],
  })
  return {
    program: join(folder, 'bizon.mjs'),
    extract: join(folder, 'bizon-extract.mjs'),
    load: join(folder, 'bizon-load.mjs'),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Rejects where the text of a twin that is not built today is no longer there. */
export async function checkReplacements(replacements: readonly Replacement[]): Promise<void> {
  const files = new Set(replacements.map(({ file }) => file))
  for (const file of files) {
    const text = await readFile(join(ROOT, file), 'utf8')
    replacements.filter((one) => one.file === file).reduce(replaceOnce, text)
  }
}

function replacing(replacements: readonly Replacement[]): Plugin {
  return {
    name: 'replacing',
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const own = replacements.filter(({ file }) => join(ROOT, file) === path)
        if (own.length === 0) return undefined
        const text = await readFile(path, 'utf8')
        return { contents: own.reduce(replaceOnce, text), loader: 'ts' }
      })
    },
  }
}

function replaceOnce(text: string, { file, find, replace }: Replacement): string {
  const parts = text.split(find)
  if (parts.length !== 2)
    throw new Error(`${file}: ${JSON.stringify(find)} is there ${parts.length - 1} times, not once`)
  return parts.join(replace)
}
