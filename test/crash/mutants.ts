// Twins of the program with one fault each, of the kind that loses or repeats rows only when a run is cut off. The
// crash tests must find each of them: tests that pass a broken program prove nothing.

import type { Replacement } from './twin.ts'

export interface Mutant {
  readonly title: string
  readonly replacements: readonly Replacement[]
}

const FLUSH = `      await output.drain()
      faultPoint('stage.after')`

export const mutants = {
  checkpointBeforeData: {
    title: 'the checkpoint is committed before the rows it covers',
    replacements: [
      {
        file: 'connectors/destinations/file.ts',
        find: FLUSH,
        replace: `      await this.#commit({ ...state, checkpoint })\n${FLUSH}`,
      },
    ],
  },
  storeBeforeDestination: {
    title: 'the state store is told before the destination',
    replacements: [
      {
        file: 'lib/load.ts',
        find: 'const receipt = await this.#destination.flush(item)',
        replace: 'await this.#open.save(item, {})\n    const receipt = await this.#destination.flush(item)',
      },
    ],
  },
  barrierBeforePage: {
    title: 'a position goes on its way before the page that it follows',
    replacements: [
      {
        file: 'lib/checkpoint.ts',
        find: '      push(page)\n      if (latest.end) return',
        replace:
          '      if (!latest.end && (pages >= everyPages || bytes >= everyBytes)) mark(push)\n      push(page)\n      if (latest.end) return',
      },
    ],
  },
  noTruncate: {
    title: 'what lies behind the last commit is left there',
    replacements: [
      {
        file: 'connectors/destinations/file/recover.ts',
        find: 'if (size > file.bytes) await cutTo(disk, staging, file.bytes)',
        replace: '',
      },
    ],
  },
  appendAtTheEnd: {
    title: 'a file is gone on with at its end, not where the last commit left it',
    replacements: [
      {
        file: 'connectors/destinations/file/recover.ts',
        find: 'if (size > file.bytes) await cutTo(disk, staging, file.bytes)',
        replace: 'if (size > file.bytes) Object.assign(file, { bytes: size })',
      },
    ],
  },
  appendTwice: {
    title: 'a publish that was cut off appends once more',
    replacements: [
      {
        file: 'connectors/destinations/file/publish.ts',
        find: 'await copy(staging, from, bytes, main, mainBefore)',
        replace: 'await copy(staging, from, bytes, main, size)',
      },
    ],
  },
  publishOnEof: {
    title: 'the end of the pages is taken for the end of the data',
    replacements: [
      {
        file: 'lib/load.ts',
        find: 'if (!this.#durable?.end) return this.#open.pause()',
        replace: 'if (!this.#durable) return this.#open.pause()',
      },
      {
        file: 'connectors/destinations/file.ts',
        find: 'if (!state.checkpoint?.end) throw',
        replace: 'if (!state.checkpoint) throw',
      },
    ],
  },
  statusBeforePublish: {
    title: 'the job is done before its rows are published',
    replacements: [
      {
        file: 'lib/load.ts',
        find: 'if (!(await this.#publish())) return this.#open.pause()',
        replace:
          'await this.#open.succeed(this.#durable)\n      if (!(await this.#publish())) return this.#open.pause()',
      },
    ],
  },
  epochUnchecked: {
    title: 'nobody asks whether another process has taken over',
    replacements: [
      {
        file: 'connectors/destinations/file/sidecar.ts',
        find: '  #checkOwner(mine: Held, found: Held | undefined): void {\n',
        replace: '  #checkOwner(mine: Held, found: Held | undefined): void {\n    if (mine) return\n',
      },
    ],
  },
  stateInPlace: {
    title: 'the state file is written over, not renamed over',
    replacements: [
      {
        file: 'connectors/destinations/file/sidecar.ts',
        find: 'const temporary = `${this.path}.tmp`',
        replace: 'const temporary = this.path',
      },
    ],
  },
  newIds: {
    title: 'rows that are written again have another id',
    replacements: [
      {
        file: 'connectors/destinations/file.ts',
        find: 'this.#format.rows(run, from?.rows ?? 0)',
        replace: 'this.#format.rows({ ...run, id: String(run.epoch) }, from?.rows ?? 0)',
      },
    ],
  },
} satisfies Record<string, Mutant>
