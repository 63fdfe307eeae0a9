// The program sqlite3 reads what a dead process left. It reads a copy: reading the database itself would put in order what is
// the next process's task. One program for a look: there are hundreds, and some beside a run that needs the processor.

import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Workspace } from './workspace.ts'

/**
 * What it answers to the lines of a script, whatever one of them asks for a table that is not there yet. Undefined when
 * there is no such file.
 */
export async function sqlite3Says(place: Workspace, name: string, script: string): Promise<string | undefined> {
  const copies = await mkdtemp(join(tmpdir(), 'bizon-look-'))
  try {
    const copy = join(copies, name)
    if (!(await isCopied(place.path(name), copy))) return undefined
    // Copied behind the file itself: what was moved into it meanwhile is then there twice, not missing.
    for (const end of ['-wal', '-journal']) await isCopied(place.path(name) + end, copy + end)
    return await answer(copy, script)
  } finally {
    await rm(copies, { recursive: true, force: true })
  }
}

async function isCopied(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

function answer(file: string, script: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env.PATH, LANG: 'C.UTF-8' }
    const child = execFile('sqlite3', ['-batch', file], { env, maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
      const problems = stderr.split('\n').filter((line) => /error/i.test(line) && !line.includes('no such table'))
      if (problems.length > 0 || (error && stderr === '')) reject(new Error(`sqlite3: ${stderr || error?.message}`))
      else resolve(stdout)
    })
    // One that ends before it has read everything says why on its own.
    child.stdin?.on('error', () => {}).end(script)
  })
}
