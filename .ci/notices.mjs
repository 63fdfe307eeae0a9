// Called by `npm run build:code`: the licences of the packages that esbuild copied into dist, as those ask for.
// Fails when one has no licence file.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

const { inputs } = JSON.parse(readFileSync('dist/meta.json', 'utf8'))
const packages = new Set(
  Object.keys(inputs).flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/.exec(path)?.[1] ?? []),
)
const notices = [...packages].sort().map((name) => {
  const folder = `node_modules/${name}`
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
  if (!file) throw new Error(`${name} is bundled, and has no licence file`)
  const { version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
  return `${name} ${version}\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`
})
writeFileSync('dist/THIRD-PARTY-LICENSES.txt', notices.join(`\n${'-'.repeat(80)}\n\n`))
rmSync('dist/meta.json')
