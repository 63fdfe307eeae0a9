// Bytes to a file descriptor, all of them, in order: a pipe takes fewer than it is given, or none for the moment.

import { closeSync, write } from 'node:fs'
import { promisify } from 'node:util'
import { BizonError, messageOf, systemCode } from '../errors.ts'
import { never, sleep } from '../wait.ts'

/** Where the lines of a pipe go. */
export interface ByteOut {
  /** Resolves once the bytes are taken; they may be changed then. */
  write(bytes: Uint8Array): Promise<void>
  /** Nothing more will be written, which the reader learns from it. */
  end?(): void
}

/** Nobody reads the pipe any more. */
export class PipeClosed extends Error {
  override readonly name = 'PipeClosed'
}

const RETRY_SECONDS = 0.002
const writeSome = promisify(write)

/** Of this process; 1 is standard output. Writing happens beside the event loop, which goes on meanwhile. */
export class DescriptorOut implements ByteOut {
  readonly #descriptor: number
  readonly #name: string

  constructor(descriptor: number) {
    this.#descriptor = descriptor
    this.#name = descriptor === 1 ? 'standard output' : `file descriptor ${descriptor}`
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      try {
        from += (await writeSome(this.#descriptor, bytes, from, bytes.length - from, null)).bytesWritten
      } catch (error) {
        const code = systemCode(error)
        if (code === 'EAGAIN') await sleep(RETRY_SECONDS, never)
        else if (code === 'EPIPE') throw new PipeClosed('nobody reads the pipe any more', { cause: error })
        else throw new BizonError('destination', `cannot write to ${this.#name}: ${messageOf(error)}`, { cause: error })
      }
    }
  }

  end(): void {
    closeSync(this.#descriptor)
  }
}
