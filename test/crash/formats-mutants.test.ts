// The tests of the other formats, tested: twins of the program with one fault each, which must be caught by a case that the
// program itself passes.

import { copyFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { formatScenarios } from './formats.ts'
import { crash, prepare } from './kill.ts'
import { sidecarOf } from './oracle.ts'
import type { Scenario } from './scenario.ts'
import { buildTwin, checkReplacements, type Replacement } from './twin.ts'
import { BIZON, fewOf, inTurn, isStopped, until, type Workspace } from './workspace.ts'

type Case = (program: string) => Promise<string[]>

interface Mutant {
  readonly title: string
  readonly replacements: readonly Replacement[]
  readonly found: Case
}

async function inFolder(scenario: Scenario, work: (place: Workspace) => Promise<string[]>): Promise<string[]> {
  const place = await prepare(scenario)
  try {
    return await work(place)
  } finally {
    await place.remove()
  }
}

const kills =
  (scenario: Scenario, ...failpoints: readonly string[]): Case =>
  (program) =>
    inFolder(scenario, (place) => crash(place, scenario, failpoints, program))

const { csvAppend, csvStream, parquetFullRefresh, parquetStream } = formatScenarios

/** Another process names the part that this one is about to name: it must find out. */
const nameTaken: Case = (program) =>
  inFolder(parquetFullRefresh, async (place) => {
    const { code } = await place.bizon({
      program,
      failpoint: 'commit.mid@5:stop',
      async during(child) {
        const committed = async () =>
          ((await sidecarOf(place, parquetFullRefresh.sidecar))?.checkpoint?.page ?? 0) === 2
        await until('two pages are committed', committed, child)
        await until('it sleeps', () => isStopped(child), child)
        // The last of them: the version before has one as well.
        const second = (await place.list()).filter((name) => name.endsWith('-00000002.parquet')).at(-1) as string
        await copyFile(place.path(second), place.path(second.replace('-00000002.', '-00000003.')))
        child.kill('SIGCONT')
      },
    })
    return code === 3 ? [] : [`it went on, and ended with ${code}`]
  })

const mutants: readonly Mutant[] = [
  {
    title: 'csv: a run that is gone on with writes a header once more',
    replacements: [
      {
        file: 'connectors/destinations/file/data.ts',
        find: 'if (this.#bytes === 0) await this.#write(this.#handle, this.#header)',
        replace:
          'if (!("headed" in this)) await this.#write(Object.assign(this, { headed: true }).#handle as DiskFile, this.#header)',
      },
    ],
    found: kills(csvStream, 'commit.after@3'),
  },
  {
    title: 'csv: the header is added to the published file with the rows',
    replacements: [
      {
        file: 'connectors/destinations/file/publish.ts',
        find: 'const from = mainBefore > 0 ? Buffer.byteLength(header) : 0',
        replace: 'const from = mainBefore > 0 ? 0 * Buffer.byteLength(header) : 0',
      },
    ],
    found: kills(csvAppend, 'publish.mid'),
  },
  {
    title: 'parquet: the checkpoint is in the state file, not in the footer of the part',
    replacements: [
      {
        file: 'connectors/destinations/file/parquet.ts',
        find: 'await sidecar.confirm(state)',
        replace: 'await sidecar.commit({ ...state, checkpoint })',
      },
      {
        file: 'connectors/destinations/file/parquet/recover.ts',
        find: '? { ...stored, checkpoint: held.checkpoint } : stored',
        replace: '? { ...stored, checkpoint: stored.checkpoint ?? held.checkpoint } : stored',
      },
    ],
    found: kills(parquetFullRefresh, 'commit.after@5'),
  },
  {
    title: 'parquet: a part gets its name by a rename, whatever is there',
    replacements: [
      {
        file: 'connectors/destinations/file/parquet/disk.ts',
        find: 'await link(from, to)\n        return true',
        replace: 'await rename(from, to)\n        return true',
      },
      {
        file: 'connectors/destinations/file/parquet/disk.ts',
        find: 'import { link, lstat,',
        replace: 'import { rename, lstat,',
      },
    ],
    found: nameTaken,
  },
  {
    title: 'parquet: a stream goes on behind a part that has no name yet',
    replacements: [
      {
        file: 'connectors/destinations/file/parquet.ts',
        find: "      faultPoint('commit.mid')\n",
        replace:
          "      await show(this.#site, { ...state, published: {} }, target)\n      await disk.link(temporaryOf(this.#site, state, target, commit), temporaryOf(this.#site, state, target, commit + 1).slice(0, -4))\n      faultPoint('commit.mid')\n",
      },
    ],
    found: kills(parquetStream, 'commit.mid@4'),
  },
]

test.each(mutants)('what it replaces is there: $title', ({ replacements }) => checkReplacements(replacements))

test.each(fewOf(mutants).map((mutant) => [mutant.title, mutant] as const))(
  'it is found: %s',
  async (title, { replacements, found }) => {
    const twin = await inTurn(() => buildTwin(title, replacements))
    try {
      expect(await found(BIZON)).toEqual([])
      // A kill that did not happen proves nothing about what follows one.
      const complaints = await found(twin.program)
      expect(complaints.filter((text) => !text.includes('did not fire'))).not.toEqual([])
    } finally {
      await twin.remove()
    }
  },
)
