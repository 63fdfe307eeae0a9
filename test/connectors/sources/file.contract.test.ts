import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { sourceContract } from '../../contract/source.ts'
import { openFile } from '../../support/file-source.ts'
import { parquetOf } from '../../support/parquet.ts'

const ROWS = Array.from({ length: 40 }, (_, index) => ({ id: `r${index}`, note: `é${'x'.repeat((index * 37) % 90)}` }))
const MANY = Array.from({ length: 3000 }, (_, index) => ({ id: `m${index}`, note: 'y'.repeat(index % 100) }))
const NDJSON = ROWS.map((row) => `${JSON.stringify(row)}\n`).join('')
const JSON_LIST = JSON.stringify(ROWS, undefined, 1)
const delimited = (delimiter: string) =>
  `id${delimiter}note\r\n${ROWS.map(({ id, note }) => `${id}${delimiter}"${note}\n"\r\n`).join('')}`

/** Large enough for blocks that are used again. */
const LARGE = 20_000

interface Case {
  readonly files: { readonly [name: string]: string | Buffer }
  readonly path?: string
  /** Default: those of ROWS. */
  readonly ids?: readonly string[]
  readonly pageBytes?: number
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
    ids: [...ROWS.map((row) => row.id), 'r40'],
  },
  'ndjson, large pages': {
    files: { 'many.ndjson': MANY.map((row) => `${JSON.stringify(row)}\n`).join('') },
    ids: MANY.map((row) => row.id),
    pageBytes: LARGE,
  },
  'json, large pages': {
    files: { 'many.json': JSON.stringify(MANY) },
    ids: MANY.map((row) => row.id),
    pageBytes: LARGE,
  },
  'csv, large pages': {
    files: { 'many.csv': `id,note\n${MANY.map(({ id, note }) => `${id},${note}\n`).join('')}` },
    ids: MANY.map((row) => row.id),
    pageBytes: LARGE,
  },
  'parquet, small row groups': { files: { 'rows.parquet': await parquetOf(ROWS, 7) } },
  'parquet, a large row group': {
    files: { 'many.parquet': await parquetOf(MANY, 10_000) },
    ids: MANY.map((row) => row.id),
    pageBytes: LARGE,
  },
  'parquet, many files': {
    files: {
      'a.parquet': await parquetOf(ROWS.slice(0, 9), 4),
      'b.parquet': await parquetOf([], 4),
      'c.parquet': await parquetOf(ROWS.slice(9), 100),
    },
    path: '*.parquet',
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

const IDS = ROWS.map((row) => row.id)

for (const [name, { files, path = Object.keys(files)[0] as string, ids = IDS, pageBytes = 300 }] of Object.entries(
  CASES,
)) {
  sourceContract(`file: ${name}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bizon-contract-'))
    for (const [file, content] of Object.entries(files)) await writeFile(join(folder, file), content)
    return {
      open: () => openFile({ path: join(folder, path), id_field: 'id', page_bytes: pageBytes }),
      openBroken: () => openFile({ path: join(folder, 'missing.ndjson') }),
      ids,
      resumable: true,
      // A gzip file is unpacked in larger portions than a page of 300 bytes.
      maxPageBytes: path.endsWith('.gz') ? 256 * 1024 : pageBytes * 2 + 400,
      dispose: () => rm(folder, { recursive: true }),
    }
  })
}
