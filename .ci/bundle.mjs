// Called by `npm run build:code`: bundles the commands and the library into dist, and writes the licences of the packages
// that were copied into it, as those ask for. Fails when one has no licence file.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { build } from 'esbuild'
import { notBundled } from './externals.mjs'

/**
 * What every run loads, whatever its config names. Each file of a bundle costs a start as much as 30 KB of code, and esbuild
 * makes one for every set of imports that needs it: so whoever loads anything of the library loads these, as one.
 */
const CORE = [
  'connectors/index.ts',
  'connectors/queues/memory.ts',
  'connectors/stores/sqlite.ts',
  'lib/commands.ts',
  'lib/config.ts',
  'lib/config/yaml.ts',
]

const LIBRARY = ['connectors/', 'lib/']

/** Behind every `import()` of a module of the library stands one that loads the core as well. */
const withCore = {
  name: 'with-core',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.{1,2}\/.*\.ts$/ }, ({ kind, path, resolveDir }) => {
      const file = resolve(resolveDir, path)
      const isOfLibrary = LIBRARY.some((folder) => file.startsWith(resolve(folder)))
      return kind === 'dynamic-import' && isOfLibrary ? { path: file, namespace: 'with-core' } : undefined
    })
    onLoad({ filter: /./, namespace: 'with-core' }, ({ path }) => {
      const lines = [...CORE.map((file) => `import '${resolve(file)}'`), `export * from '${path}'`]
      if (/^export default /m.test(readFileSync(path, 'utf8'))) lines.push(`export { default } from '${path}'`)
      return { contents: lines.join('\n'), resolveDir: '.' }
    })
  },
}

const { metafile } = await build({
  entryPoints: ['lib/index.ts', 'bin/bizon.ts', 'bin/bizon-extract.ts', 'bin/bizon-load.ts'],
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  outdir: 'dist',
  outbase: '.',
  chunkNames: 'chunks/[name]-[hash]',
  sourcemap: true,
  sourcesContent: false,
  external: notBundled(),
  banner: {
    js: "import{createRequire as bannerRequire}from'node:module';const require=bannerRequire(import.meta.url);",
  },
  legalComments: 'linked',
  logLevel: 'warning',
  metafile: true,
  plugins: [withCore],
})

const packages = new Set(
  Object.keys(metafile.inputs).flatMap(
    (path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/.exec(path)?.[1] ?? [],
  ),
)
const notices = [...packages].sort().map((name) => {
  const folder = `node_modules/${name}`
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
  if (!file) throw new Error(`${name} is bundled, and has no licence file`)
  const { version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
  return `${name} ${version}\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`
})
writeFileSync('dist/THIRD-PARTY-LICENSES.txt', notices.join(`\n${'-'.repeat(80)}\n\n`))
