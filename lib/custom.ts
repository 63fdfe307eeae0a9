// Code in a user's own file: found, imported once, and when that fails said in one line why and where.
// Whatever it imports as 'bizon' is this very program, wherever the file lies and whatever is installed around it.

import { stat } from 'node:fs/promises'
import * as nodeModule from 'node:module'
import { extname, relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { readFailure } from './config/file.ts'
import { BizonError, type ErrorCode, messageOf, systemCode } from './errors.ts'

const EXTENSIONS = ['.mjs', '.js', '.ts', '.mts']

/**
 * What the file exports. The path is relative to the working directory. Rejects with code `config`; `what` says in a
 * message what was to be loaded, as in "custom source". Node evaluates a file once, however often it is imported.
 */
export async function importModule(path: string, what: string): Promise<Readonly<Record<string, unknown>>> {
  await requireCode(path, what)
  provideBizon()
  try {
    return await import(pathToFileURL(resolve(path)).href)
  } catch (error) {
    throw await importFailure(error, path)
  }
}

async function requireCode(path: string, what: string): Promise<void> {
  const extension = extname(path)
  if (extension === '.py') {
    const kind = what.includes('destination') ? 'destination' : 'source'
    throw new BizonError(
      'config',
      `${path}: a ${what} is JavaScript or TypeScript here; see docs/writing-a-${kind}.md`,
      {
        hint: `bizon new ${kind} NAME`,
      },
    )
  }
  const found = await stat(path).catch((cause: unknown) => {
    throw new BizonError('config', `${path}: ${readFailure(cause)}`, { cause })
  })
  if (found.isDirectory()) throw new BizonError('config', `${path} is a folder; a file is needed`)
  if (EXTENSIONS.includes(extension)) return
  const got = extension === '' ? 'has no extension' : `ends in ${extension}`
  throw new BizonError('config', `${path} ${got}; a ${what} ends in ${EXTENSIONS.join(', ')}`)
}

// The hook is the process's, as Node has it: there is one, set when the first such file is loaded.
let provided = false

function provideBizon(): void {
  if (provided) return
  provided = true
  // Bundled, this file lies in lib, bin or chunks of dist: `lib/index.js` is beside it in each case.
  const url = new URL('../lib/index.js', import.meta.url).href
  const { registerHooks } = nodeModule as Partial<SyncHooks>
  if (registerHooks) {
    registerHooks({
      resolve: (specifier, context, next) =>
        specifier === 'bizon' ? { url, shortCircuit: true } : next(specifier, context),
    })
    return
  }
  // Before Node 22.15 hooks live in a thread that shares nothing with this one, so that they go there as text.
  const hook = `export const resolve = (specifier, context, next) =>
    specifier === 'bizon' ? { url: ${JSON.stringify(url)}, shortCircuit: true } : next(specifier, context)`
  nodeModule.register(`data:text/javascript,${encodeURIComponent(hook)}`)
}

/** `module.registerHooks`, which the types of Node 20 do not know. */
interface SyncHooks {
  registerHooks(hooks: {
    resolve(
      specifier: string,
      context: object,
      next: (specifier: string, context: object) => { url: string },
    ): { url: string; shortCircuit?: boolean }
  }): void
}

async function importFailure(cause: unknown, path: string): Promise<BizonError> {
  const message = messageOf(cause)
  const code = systemCode(cause)
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION' && /"\.m?ts"/.test(message)) {
    return new BizonError('config', `${path}: this Node (${process.version}) does not run TypeScript`, {
      cause,
      hint: 'Node 22.18 or later (from 22.6 on with NODE_OPTIONS=--experimental-strip-types), or write it as .mjs',
    })
  }
  if (code === 'ERR_MODULE_NOT_FOUND') {
    const [, name] = /^Cannot find package '([^']+)'/.exec(message) ?? []
    const install = name && `npm install ${name}`
    const hint = name === 'zod' ? "import { z } from 'bizon', which brings it" : install
    return new BizonError('config', `${path}: ${message}`, { cause, hint })
  }
  const place = placeOf(cause, path) ?? (cause instanceof SyntaxError ? await placeOfSyntaxError(path) : undefined)
  const where = place ?? path
  if (cause instanceof BizonError) return new BizonError('config', `${where}: ${message}`, { cause, hint: cause.hint })
  if (cause instanceof SyntaxError) {
    const hint = message.includes('outside a module') ? `rename it to ${path.replace(/\.js$/, '.mjs')}` : undefined
    return new BizonError('config', `${where}: ${message}`, { cause, hint })
  }
  return new BizonError('config', `${where}: it failed while it was loaded: ${namedMessageOf(cause)}`, { cause })
}

/** What a user's own code threw, as an error that says where in their file. A BizonError is as clear as they made it. */
export function blame(cause: unknown, path: string, code: ErrorCode): BizonError {
  if (cause instanceof BizonError) return cause
  return new BizonError(code, `${placeOf(cause, path) ?? path}: ${namedMessageOf(cause)}`, { cause })
}

function namedMessageOf(error: unknown): string {
  return error instanceof Error && error.name !== 'Error' ? `${error.name}: ${error.message}` : messageOf(error)
}

/** The first place in a file that the stack names. */
function placeOf(error: unknown, path: string): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  const [, url, line] = /(file:\/\/[^\s)]+?):(\d+)(?::\d+)?\)?$/m.exec(stack) ?? []
  if (url === undefined || url.includes('/node_modules/')) return undefined
  return `${shown(fileURLToPath(url), path)}:${line}`
}

/** Node tells where a syntax error is only to who runs the file: asked to check it alone, it says so. */
async function placeOfSyntaxError(path: string): Promise<string | undefined> {
  const { execFile } = await import('node:child_process')
  const file = resolve(path)
  const printed = await new Promise<string>((done) => {
    execFile(process.execPath, ['--check', file], (_error, _stdout, stderr) => done(stderr))
  })
  const [, line] = /^(?:file:\/\/)?\S*:(\d+)$/m.exec(printed) ?? []
  return line && `${path}:${line}`
}

/** A file as its user would write it. */
function shown(file: string, path: string): string {
  return file === resolve(path) ? path : relative('', file)
}
