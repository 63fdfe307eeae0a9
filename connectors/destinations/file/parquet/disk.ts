// What folders of parts need of a disk besides what files do.

import { link, lstat, readdir, readlink, rm, symlink } from 'node:fs/promises'
import { systemCode } from '../../../../lib/errors.ts'
import { attempt, type Disk, realDisk } from '../disk.ts'

export interface PartDisk extends Disk {
  /** Gives the file a second name. Resolves to false, changing nothing, when there is something of that name. */
  link(from: string, to: string): Promise<boolean>
  /** Names in the folder; none when it is not there. */
  list(folder: string): Promise<string[]>
  /** Where the symbolic link leads: undefined when there is nothing, null when something else has the name. */
  readLink(path: string): Promise<string | null | undefined>
  /** Makes a symbolic link. */
  makeLink(target: string, path: string): Promise<void>
  /** With what is in it. Resolves also when there is none. */
  removeFolder(path: string): Promise<void>
}

export const realPartDisk: PartDisk = {
  ...realDisk,
  link: (from, to) =>
    attempt('create', to, async () => {
      try {
        await link(from, to)
        return true
      } catch (error) {
        if (systemCode(error) === 'EEXIST') return false
        throw error
      }
    }),
  list: (folder) =>
    attempt('look into', folder, async () => {
      try {
        return (await readdir(folder)).sort()
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return []
        throw error
      }
    }),
  readLink: (path) =>
    attempt('look at', path, async () => {
      try {
        return (await lstat(path)).isSymbolicLink() ? await readlink(path) : null
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return undefined
        throw error
      }
    }),
  makeLink: (target, path) => attempt('create', path, () => symlink(target, path)),
  removeFolder: (path) => attempt('remove', path, () => rm(path, { recursive: true, force: true })),
}
