// What `bizon new destination` writes: a folder of NDJSON files and a manifest that says which of them count, which is
// enough to keep every promise: the position and its rows become durable in one rename.

import type { NewFile, NewFiles } from './files.ts'

export function destinationFiles({ name, extension }: NewFiles): readonly NewFile[] {
  const typed = (text: string): string => (extension === 'ts' ? text : '')
  return [
    { path: `${name}.${extension}`, text: destinationText(name, extension, typed) },
    { path: `${name}.test.${extension}`, text: testText(name, extension) },
    { path: `${name}.yml`, text: pipelineText(name, extension) },
  ]
}

type Typed = (text: string) => string

const destinationText = (name: string, extension: string, typed: Typed): string => `\
// The destination ${name}: a folder of NDJSON files, and manifest.json, which lists those that count.
//
//   node --test ${name}.test.${extension}
//   npx bizon run ${name}.yml

import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BizonError, ${typed('type Checkpoint, ')}defineDestination, ${typed('type Run, ')}textOf, z } from 'bizon'
${typed(`
/** What this run has made durable so far. */
type Staged = { run: string; epoch: number; checkpoint?: Checkpoint; files: string[] }
/** What readers see: the files of the last run that published, and those it was added to. */
type Manifest = { run?: string; base: string[]; files: string[] }
`)}
// The keys of this destination under \`destination.config\`. Each description says the unit and the default.
const config = z.strictObject({
  folder: z.string().min(1).default('${name}').describe('Folder of the files, made if missing. Default \`${name}\`.'),
})

export default defineDestination({
  summary: 'A folder of NDJSON files with a manifest.',
  config,

  create({ folder }, { mode }) {
    if (mode === 'stream') throw new BizonError('config', '${name} cannot be written in stream mode')
    const staging = join(folder, 'staging.json')
    const manifest = join(folder, 'manifest.json')
    const readManifest = async ()${typed(': Promise<Manifest>')} =>
      (await readJson(manifest)) ?? { base: [], files: [] }
    let run${typed(': Run | undefined')}
    let staged${typed(': Staged')} = { run: '', epoch: 0, files: [] }
    let lines${typed(': string[]')} = []

    return {
      // Asked first on every start. Resolves to the last checkpoint that is durable here: there the source goes on.
      async open(opened) {
        run = opened
        await mkdir(folder, { recursive: true })
        const found${typed(': Staged | undefined')} = await readJson(staging)
        if (found && found.epoch > run.epoch) throw fenced()
        const resumes = found?.run === run.id
        staged = resumes ? { ...found, epoch: run.epoch } : { run: run.id, epoch: run.epoch, files: [] }
        await writeDurably(staging, JSON.stringify(staged)) // from now on an older process is refused
        // What no list names was written after the last checkpoint, or for a run that was given up.
        const { base, files } = await readManifest()
        const kept = new Set([...base, ...files, ...staged.files])
        for (const file of await readdir(folder)) {
          if (file.endsWith('.ndjson') && !kept.has(file)) await rm(join(folder, file))
        }
        return staged.checkpoint
      },

      // Keeps a copy: the bytes of the page may change once this resolves.
      async write(page) {
        for (const { id, data } of page.records) lines.push('{"id":' + JSON.stringify(id) + ',"data":' + textOf(data) + '}\\n')
      },

      // The rows first, then the list that names them together with the checkpoint: one rename makes both durable.
      async flush(checkpoint) {
        if (!run) throw new BizonError('destination', '${name}: flush() before open()')
        const found${typed(': Staged | undefined')} = await readJson(staging)
        if (found && found.epoch > run.epoch) throw fenced()
        const file = run.id + '-' + checkpoint.page + '.ndjson'
        if (lines.length > 0) await writeDurably(join(folder, file), lines.join(''))
        const files = lines.length > 0 ? [...staged.files, file] : staged.files
        staged = { run: run.id, epoch: run.epoch, checkpoint, files }
        await writeDurably(staging, JSON.stringify(staged))
        lines = []
        return undefined
      },

      // Only after a checkpoint with \`end\`. May come again after a crash, so that it must not add twice.
      async publish() {
        if (!run) throw new BizonError('destination', '${name}: publish() before open()')
        const before = await readManifest()
        // An append by a run that the state does not know is taken back: its rows come again.
        const unknown = before.run === run.id || (run.previous !== undefined && before.run !== run.previous)
        const base = run.complete ? [] : unknown ? before.base : [...before.base, ...before.files]
        await writeDurably(manifest, JSON.stringify({ run: run.id, base, files: staged.files }))
      },

      // Always the last call, also after a failure; never publishes.
      async close() {
        lines = []
      },

      outputs: () => [manifest],
    }
  },
})

async function readJson(path${typed(': string')}) {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Written whole or not at all, also when the power fails. */
async function writeDurably(path${typed(': string')}, text${typed(': string')}) {
  const file = await open(path + '.tmp', 'w')
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(path + '.tmp', path)
  const folder = await open(join(path, '..'))
  await folder.sync().finally(() => folder.close())
}

function fenced() {
  return new BizonError('fenced', '${name}: a newer run writes here; this one may not any more')
}
`

const testText = (name: string, extension: string): string => `\
// node --test ${name}.test.${extension}

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { verifyDestination } from 'bizon'
import destination from './${name}.${extension}'

// verifyDestination loads pages, with crashes and repetitions where they matter, and looks at the target after each.
test('holds what was published, whole and once, whatever happens on the way', async () => {
  const folder = await mkdtemp(join(tmpdir(), '${name}-'))
  const published = async () => {
    const manifest = await readFile(join(folder, 'manifest.json'), 'utf8').catch(() => '{"base":[],"files":[]}')
    const { base, files } = JSON.parse(manifest)
    const ids = []
    for (const file of [...base, ...files]) {
      const lines = (await readFile(join(folder, file), 'utf8')).trimEnd().split('\\n')
      ids.push(...lines.map((line) => String(JSON.parse(line).id)))
    }
    return ids
  }
  try {
    await verifyDestination(destination, { config: { folder }, published })
  } finally {
    await rm(folder, { recursive: true })
  }
})
`

const pipelineText = (name: string, extension: string): string => `\
# Loads five invented creatures into the folder ${name}.
#
#   npx bizon run ${name}.yml

name: ${name}

source:
  name: dummy
  stream: creatures

destination:
  name: ${name} # a label
  destination_file_path: ${name}.${extension}
  config: {}
`
