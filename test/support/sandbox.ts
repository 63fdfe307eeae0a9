// A throw-away copy of what a user has in a checkout: examples, docs, the built commands and the installed packages.

import { spawn } from 'node:child_process'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

export const CHECKOUT = resolve(import.meta.dirname, '../..')

const COPIED = [
  'examples',
  'docs',
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'LICENSE',
  'package.json',
  '.gitignore',
]
const LINKED = ['dist', 'node_modules']

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export class Sandbox {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  static async create(): Promise<Sandbox> {
    const folder = await mkdtemp(join(tmpdir(), 'bizon-sandbox-'))
    for (const name of COPIED) await cp(join(CHECKOUT, name), join(folder, name), { recursive: true })
    for (const name of LINKED) await symlink(join(CHECKOUT, name), join(folder, name))
    return new Sandbox(folder)
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  /** Runs a bash script in the folder; the first command that fails ends it. */
  run(script: string): Promise<Finished> {
    return runIn(this.folder, script)
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** What npx finds in a sandbox, without the second that it takes; .ci/run runs an installed package with npx itself. */
export const QUICK_NPX =
  'npx() { if [ -f "dist/bin/$1.js" ]; then node "dist/bin/$1.js" "${@:2}"; else command npx "$@"; fi; }'

/** Runs a bash script in a folder as a user would; the first command that fails ends it. */
export function runIn(folder: string, script: string): Promise<Finished> {
  return new Promise((done, failed) => {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: folder,
      env: { ...userEnvironment(), NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.on('error', failed)
    child.on('close', (code) =>
      done({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
    )
  })
}

/** Without what npm and vitest set for this process: a nested npx would take it for its own. */
function userEnvironment(): NodeJS.ProcessEnv {
  const ours = /^(npm_|INIT_CWD$|VITEST|NODE_ENV$|TEST$|BIZON_|FORCE_COLOR$)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)))
}
