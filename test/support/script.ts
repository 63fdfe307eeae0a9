// Runs a TypeScript file as a process of its own: what a test kills, stops, or lets compete must be a real process.
// Node 20 reads no TypeScript, so that esbuild bundles it first.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'

export interface Script {
  readonly pid: number
  /** Its next line on stdout; undefined once it has ended. */
  line(): Promise<string | undefined>
  /** Writes a line to its stdin. */
  tell(line: string): void
  /** Sends a signal; after SIGKILL and the like, wait for `ended`. */
  signal(name: NodeJS.Signals): void
  /** Settles when it has ended; rejects never. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>
}

/** Starts `file`, a URL of a .ts file, with the arguments in `process.argv`. */
export async function startScript(file: URL, args: readonly string[] = []): Promise<Script> {
  const folder = await mkdtemp(join(tmpdir(), 'bizon-script-'))
  const outfile = join(folder, 'script.mjs')
  await build({
    entryPoints: [fileURLToPath(file)],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
    plugins: [nativeModules],
    banner: {
      js: "import { createRequire as $require } from 'node:module'; const require = $require(import.meta.url);",
    },
  })
  const child = spawn(process.execPath, [outfile, ...args])
  const ended = end(child).finally(() => rm(folder, { recursive: true, force: true }))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    pid: child.pid ?? 0,
    line: async () => (await lines.next()).value,
    tell: (line) => void child.stdin.write(`${line}\n`),
    signal: (name) => void child.kill(name),
    ended,
  }
}

async function end(child: ChildProcessWithoutNullStreams): ReturnType<() => Script['ended']> {
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  // It may have ended while somebody still talks to it.
  child.stdin.on('error', () => {})
  const [code, signal] = await once(child, 'close')
  return { code, signal, stderr }
}

/** Compiled modules stay where they are installed; the bundle lies where nothing is. */
const nativeModules: Plugin = {
  name: 'native-modules',
  setup({ onResolve }) {
    const { resolve } = createRequire(import.meta.url)
    onResolve({ filter: /^better-sqlite3$/ }, ({ path }) => ({
      path: pathToFileURL(resolve(path)).href,
      external: true,
    }))
  },
}
