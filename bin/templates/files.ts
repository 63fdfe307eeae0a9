// What `bizon new` writes.

export interface NewFiles {
  /** Stands in file names and in code. */
  readonly name: string
  readonly extension: 'mjs' | 'ts'
}

export interface NewFile {
  readonly path: string
  readonly text: string
}
