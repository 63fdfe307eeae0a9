// What the bundle leaves to be found among the installed packages: those that a user installs for what needs them, and the one
// that has machine code.

import { readFileSync } from 'node:fs'

export function notBundled() {
  const { peerDependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return ['better-sqlite3', ...Object.keys(peerDependencies)]
}
