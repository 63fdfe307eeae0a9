// bizon new source, bizon new destination: a connector of one's own to begin with, its test, and a pipeline that uses it.

import { lstat, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { BizonError, systemCode } from '../../lib/errors.ts'
import { addCommand } from '../program.ts'
import type { NewFile, NewFiles } from '../templates/files.ts'
import type { Terminal } from '../terminal.ts'

interface NewOptions {
  readonly typescript?: true
}

type FilesOf = (files: NewFiles) => readonly NewFile[]

export function addNew(program: Command, terminal: Terminal): void {
  const group = addCommand(program, 'new', 'Begin a source or destination of your own.', [
    { what: 'a source, its test and a pipeline that runs it', run: 'bizon new source invoices' },
    { what: 'a destination', run: 'bizon new destination archive' },
  ])
  addKind(group, terminal, 'source', 'orders', async () => (await import('../templates/source.ts')).sourceFiles)
  addKind(
    group,
    terminal,
    'destination',
    'shelf',
    async () => (await import('../templates/destination.ts')).destinationFiles,
  )
}

function addKind(group: Command, terminal: Terminal, kind: string, name: string, filesOf: () => Promise<FilesOf>) {
  addCommand(group, kind, `Write a ${kind} that works, its test, and a pipeline that uses it, into this folder.`, [
    { what: 'then make it yours', run: `bizon new ${kind} ${name}` },
    { what: 'in TypeScript, which Node 22.18 runs as it is', run: `bizon new ${kind} ${name}-typed --typescript` },
  ])
    .argument('<NAME>', 'name of the files: small letters, digits, - and _')
    .option('--typescript', 'write .ts instead of .mjs')
    .action(async (given: string, { typescript }: NewOptions) => {
      requireName(given)
      const extension = typescript ? 'ts' : 'mjs'
      const files = (await filesOf())({ name: given, extension })
      await writeAll(files)
      terminal.print(`Wrote ${files.map(({ path }) => path).join(', ')}.`)
      if (typescript && !(process.features as { typescript?: unknown }).typescript) {
        terminal.note(`This Node, ${process.version}, cannot run .ts files as they are; Node 22.18 can.`, 'yellow')
      }
      if (!isInstalled()) {
        terminal.note('They import bizon, which is not installed for this folder.', 'yellow')
        terminal.print(`Try: npm install ${packageRoot()}`)
        return
      }
      terminal.print(`Try: node --test ${given}.test.${extension} && npx bizon run ${given}.yml`)
    })
}

/** Whether `import … from 'bizon'` works in this folder. */
function isInstalled(): boolean {
  try {
    createRequire(join(process.cwd(), 'here.js')).resolve('bizon/package.json')
    return true
  } catch {
    return false
  }
}

/** Of this program: the folder of the package.json that it came with. */
function packageRoot(): string {
  return dirname(createRequire(import.meta.url).resolve('bizon/package.json'))
}

function requireName(name: string): void {
  if (/^[a-z][a-z0-9_-]{0,59}$/.test(name)) return
  throw new BizonError('usage', `${JSON.stringify(name)} is no name for files and a connector`, {
    hint: 'begin with a small letter, then small letters, digits, - and _, at most 60',
  })
}

/** All or nothing: what is there already is somebody's. */
async function writeAll(files: readonly NewFile[]): Promise<void> {
  for (const { path } of files) {
    if (await lstat(path).catch(() => undefined)) throw taken(path)
  }
  const written: string[] = []
  try {
    for (const { path, text } of files) {
      await writeFile(path, text, { flag: 'wx' })
      written.push(path)
    }
  } catch (cause) {
    for (const path of written) await rm(path, { force: true })
    const path = files[written.length]?.path ?? ''
    if (systemCode(cause) === 'EEXIST') throw taken(path)
    throw new BizonError('usage', `cannot write ${path}: ${String(cause)}`, { cause })
  }
}

function taken(path: string): BizonError {
  return new BizonError('usage', `${path} is there already; nothing was written`, { hint: 'another name' })
}
