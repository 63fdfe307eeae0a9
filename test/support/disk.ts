// Disks that misbehave, for the file destination: they stand between it and the real one.

import type { Disk, DiskFile } from '../../connectors/destinations/file/disk.ts'

/** Calls `before` ahead of each operation that changes something. */
export function watched(disk: Disk, before: (operation: string) => void): Disk {
  const tell = (operation: string, path: string): void => before(`${operation} ${path}`)
  return {
    ...disk,
    async open(path, access) {
      if (access !== 'read') tell('open', path)
      const file = await disk.open(path, access)
      return {
        ...file,
        write: async (bytes, position) => {
          tell('write', path)
          return file.write(bytes, position)
        },
        truncate: async (bytes) => {
          tell('truncate', path)
          return file.truncate(bytes)
        },
        sync: async () => {
          tell('sync', path)
          return file.sync()
        },
      }
    },
    rename: async (from, to) => {
      tell('rename', to)
      return disk.rename(from, to)
    },
    remove: async (path) => {
      tell('remove', path)
      return disk.remove(path)
    },
    makeFolder: async (path) => {
      tell('makeFolder', path)
      return disk.makeFolder(path)
    },
    syncFolder: async (path) => {
      tell('syncFolder', path)
      return disk.syncFolder(path)
    },
  }
}

/** Changes how open files behave. */
export function withFiles<Kind extends Disk>(
  disk: Kind,
  change: (file: DiskFile, path: string) => Partial<DiskFile>,
): Kind {
  return {
    ...disk,
    async open(path, access) {
      const file = await disk.open(path, access)
      return { ...file, ...change(file, path) }
    },
  }
}

/** Takes at most `most` bytes of each write, as a real disk may. */
export function shortWrites(disk: Disk, most: number): Disk {
  return withFiles(disk, (file) => ({ write: (bytes, position) => file.write(bytes.subarray(0, most), position) }))
}

/** The n-th write puts half of its bytes on the disk and fails. */
export function tornWrite(disk: Disk, n: number, error: Error): Disk {
  let count = 0
  return withFiles(disk, (file) => ({
    async write(bytes, position) {
      if (++count !== n) return file.write(bytes, position)
      await file.write(bytes.subarray(0, bytes.length >> 1), position)
      throw error
    },
  }))
}
