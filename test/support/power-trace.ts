// Notes every operation on files of a program that runs under strace, for cutting the power afterwards (power.ts). What another
// library writes, as SQLite does, is seen as well.

import { readFile } from 'node:fs/promises'
import { relative, resolve } from 'node:path'
import { contentOf, type Node, type Operation, type Recording } from './power.ts'

const CALLS = 'openat,pwrite64,write,ftruncate,fsync,fdatasync,rename,unlink,mkdir'
/** Fails the test when a program begins to use them: what they do would be missing. */
const UNKNOWN =
  'open,creat,writev,pwritev,pwritev2,truncate,fallocate,copy_file_range,sendfile,renameat,renameat2,unlinkat,rmdir,mkdirat,link,linkat,symlink,symlinkat'

/** What stands in front of the program, so that its calls are in `log`. The program itself is the child that gets signals (`-D`). */
export const tracing = (log: string): readonly string[] => [
  ...['strace', '-D', '-f', '-qq', '-y', '-xx', '-s', String(1 << 24), '-o', log, '-e', `trace=${CALLS},${UNKNOWN}`],
]

/** Files that mean nothing once the machine is started again: locks, and SQLite's memory that processes share. */
const PASSING = /\.lock(?:\.holder|-journal)?$|-shm$/

export interface Traced {
  readonly folder: string
  /** As the folder was before the program began. */
  readonly before: Recording['before']
  readonly log: string
}

/** All that is in the folder, but for what is passing. */
export async function beforeTrace(folder: string): Promise<Recording['before']> {
  const found = await contentOf(folder)
  return new Map([...found].filter(([path]) => !PASSING.test(path)))
}

export async function recordingOf({ folder, before, log }: Traced): Promise<Recording> {
  const notes = new Notes(folder, before)
  const begun = new Map<string, string>()
  for (const line of (await readFile(log, 'latin1')).split('\n')) {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)
    const isBegun = text.endsWith('<unfinished ...>')
    if (isBegun) begun.set(thread, text.slice(0, -'<unfinished ...>'.length))
    else notes.add(resumed ? `${begun.get(thread)}${resumed[1]}` : text)
  }
  return { operations: notes.operations, before }
}

class Notes {
  readonly operations: Operation[] = []
  readonly #folder: string
  readonly #nodes = new Map<string, Node>()
  readonly #sizes = new Map<number, number>()
  #count = 0

  constructor(folder: string, before: Recording['before']) {
    this.#folder = folder
    for (const [path, content] of before) {
      if (Buffer.isBuffer(content)) this.#sizes.set(this.#count, content.length)
      this.#nodes.set(path, Buffer.isBuffer(content) ? this.#count++ : content)
    }
  }

  /** `pwrite64(5</folder/file>, "…", 24, 32) = 24`, with each byte of a text as \x2f. */
  add(call: string): void {
    const [, name = '', args = '', result = ''] = /^(\w+)\((.*?) *\) += (-?\d+)/.exec(call) ?? []
    if (name === '' || Number(result) < 0) return
    const texts = [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, text = '']) => bytesOf(text))
    const held = /^\d+<((?:\\x[0-9a-f]{2})*)>/.exec(args)?.[1]
    const path = this.#within(held === undefined ? String(texts[0]) : String(bytesOf(held)))
    if (path === undefined) return
    if (UNKNOWN.split(',').includes(name)) throw new Error(`${name} of ${path} is not known here`)
    if (name === 'fsync' || name === 'fdatasync') this.#sync(path)
    else if (name === 'openat') this.#open(path, args)
    else if (name === 'unlink') this.#name(path, undefined)
    else if (name === 'mkdir') this.#name(path, 'folder')
    else if (name === 'rename') this.#rename(path, this.#within(String(texts[1])))
    else if (name === 'ftruncate') this.#cut(path, Number(/(\d+)$/.exec(args)?.[1]))
    else this.#write(path, (texts[0] as Buffer).subarray(0, Number(result)), / (\d+)$/.exec(args)?.[1], name)
  }

  /** Relative to the folder; undefined: it does not count. */
  #within(path: string): string | undefined {
    const found = relative(this.#folder, resolve(this.#folder, path))
    return found.startsWith('..') || PASSING.test(found) ? undefined : found
  }

  #sync(path: string): void {
    const node = this.#nodes.get(path)
    if (path === '' || node === 'folder') this.operations.push({ kind: 'syncFolder', path })
    else if (typeof node === 'number') this.operations.push({ kind: 'sync', node })
  }

  #open(path: string, args: string): void {
    const isKnown = this.#nodes.has(path)
    if (!isKnown && args.includes('O_CREAT')) this.#name(path, this.#count++)
    else if (isKnown && args.includes('O_TRUNC')) this.#cut(path, 0)
  }

  #name(path: string, node: Node | undefined, from?: string): void {
    if (node === undefined) this.#nodes.delete(path)
    else this.#nodes.set(path, node)
    this.operations.push({ kind: 'name', path, node, ...(from !== undefined && { from }) })
  }

  #rename(from: string, to: string | undefined): void {
    if (to === undefined) return
    const node = this.#nodes.get(from)
    this.#nodes.delete(from)
    this.#name(to, node, from)
  }

  #cut(path: string, size: number): void {
    const node = this.#nodes.get(path)
    if (typeof node !== 'number') return
    this.#sizes.set(node, size)
    this.operations.push({ kind: 'truncate', node, size })
  }

  /** Where no position is given it is added at the end, as all do that give none. */
  #write(path: string, bytes: Buffer, at: string | undefined, name: string): void {
    const node = this.#nodes.get(path)
    if (typeof node !== 'number') return
    const size = this.#sizes.get(node) ?? 0
    const position = name === 'pwrite64' ? Number(at) : size
    this.#sizes.set(node, Math.max(size, position + bytes.length))
    this.operations.push({ kind: 'write', node, position, bytes })
  }
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex')
}
