import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { sourceContract } from '../../contract/source.ts'
import { openFile } from '../../support/file-source.ts'

const ROWS = Array.from({ length: 40 }, (_, index) => ({ id: `r${index}`, note: `é${'x'.repeat((index * 37) % 90)}` }))
const NDJSON = ROWS.map((row) => `${JSON.stringify(row)}\n`).join('')
const JSON_LIST = JSON.stringify(ROWS, undefined, 1)
const delimited = (delimiter: string) =>
  `id${delimiter}note\r\n${ROWS.map(({ id, note }) => `${id}${delimiter}"${note}\n"\r\n`).join('')}`

interface Case {
  readonly files: { readonly [name: string]: string | Buffer }
  readonly path?: string
  /** Ids behind those of ROWS. */
  readonly extra?: readonly string[]
}

const CASES: { readonly [name: string]: Case } = {
  ndjson: { files: { 'rows.ndjson': NDJSON } },
  'ndjson without a last line end': { files: { 'rows.jsonl': NDJSON.trimEnd() } },
  'ndjson, gzipped': { files: { 'rows.ndjson.gz': gzipSync(NDJSON) } },
  'json list': { files: { 'rows.json': JSON_LIST } },
  csv: { files: { 'rows.csv': delimited(',') } },
  'csv, gzipped, with a byte order mark': { files: { 'rows.csv.gz': gzipSync(`\ufeff${delimited(',')}`) } },
  tsv: { files: { 'rows.tsv': delimited('\t') } },
  'json, many files': {
    files: {
      'a.json': JSON.stringify(ROWS.slice(0, 5)),
      'b.json': ' []',
      'c.json': `${JSON.stringify(ROWS[5])}\n`,
      'd.json': `${JSON.stringify(ROWS.slice(6))}\n\n`,
    },
    path: '*.json',
  },
  'csv, many files': {
    files: { 'a.csv': delimited(','), 'b.csv': 'id,other\nr40,x', 'c.csv': '', 'd.csv': 'id\n' },
    path: '*.csv',
    extra: ['r40'],
  },
  'many files': {
    files: {
      'a.ndjson': NDJSON.slice(0, NDJSON.indexOf('{"id":"r3"')),
      'b.ndjson': '',
      'c.ndjson': NDJSON.slice(NDJSON.indexOf('{"id":"r3"')),
    },
    path: '*.ndjson',
  },
}

for (const [name, { files, path = Object.keys(files)[0] as string, extra = [] }] of Object.entries(CASES)) {
  sourceContract(`file: ${name}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bizon-contract-'))
    for (const [file, content] of Object.entries(files)) await writeFile(join(folder, file), content)
    return {
      open: () => openFile({ path: join(folder, path), id_field: 'id', page_bytes: 300 }),
      openBroken: () => openFile({ path: join(folder, 'missing.ndjson') }),
      ids: [...ROWS.map((row) => row.id), ...extra],
      resumable: true,
      // A gzip file is unpacked in larger portions than a page of 300 bytes.
      maxPageBytes: path.endsWith('.gz') ? 256 * 1024 : 1000,
      dispose: () => rm(folder, { recursive: true }),
    }
  })
}
