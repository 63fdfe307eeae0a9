// Files of records: NDJSON, JSON, CSV and TSV, plain or gzipped, or standard input; and Parquet. The records reach the
// destination as the bytes they are: JSON text by reference, CSV cells as JSON strings.
//
//   file/paths.ts     which files, and what is in them
//   file/input.ts     bytes of a file, in blocks
//   file/lines.ts  file/array.ts  file/csv.ts     blocks to records
//   file/parquet.ts  file/parquet-values.ts       row groups to records
//   file/rows.ts  file/invalid.ts                 id, time, and what becomes of a record that is not valid
//   file/progress.ts  file/identity.ts            how far each file is read, and what tells it from others
//   file/recognise.ts file/read.ts                whether files are those that were read; files to pages
//   file/reads.ts                                 whether it would read some path

import { join, resolve } from 'node:path'
import * as z from 'zod'
import { defineSource } from '../../lib/source.ts'
import { MOST_SECONDS } from '../../lib/wait.ts'
import { checkFiles, FORMATS, isAppendOnly, STDIN } from './file/paths.ts'
import { readFiles } from './file/read.ts'
import { wouldRead } from './file/reads.ts'

const MIB = 1024 * 1024

const config = z.strictObject({
  path: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .transform((path) => (typeof path === 'string' ? [path] : path))
    .refine(
      (paths) => paths.length === 1 || !paths.includes(STDIN),
      'standard input (-) cannot be read with other files',
    )
    .describe(
      'File, list of files, or patterns with `*`, `**` and `?`, relative to the working directory; `-` is standard ' +
        'input. Read in the order of their names.',
    )
    .meta({ examples: ['events.ndjson', 'incoming/*.csv.gz', '-'] }),
  format: z
    .enum(FORMATS)
    .optional()
    .describe(
      'What the files hold; `json` is an array of objects, or one object; `parquet` needs `npm install hyparquet hyparquet-writer`. ' +
        'Default: by extension (.ndjson .jsonl .json .csv .tsv .parquet, also before .gz).',
    ),
  compression: z
    .enum(['none', 'gzip'])
    .optional()
    .describe('How the files are packed. Default: gzip for files that end in .gz.'),
  columns: z
    .array(z.string().min(1))
    .min(1)
    .refine((names) => new Set(names).size === names.length, 'each column needs its own name')
    .optional()
    .describe('Names of the columns of CSV or TSV files without a header row. Default: the first row names them.'),
  id_field: z
    .string()
    .optional()
    .describe('Field with the id of a record: a string or an integer. Default: file:line.'),
  timestamp_field: z
    .string()
    .optional()
    .describe(
      'Field that says when it happened: RFC 3339, or seconds or milliseconds since 1970. Default: the time of reading.',
    ),
  on_invalid: z
    .enum(['fail', 'skip', 'dead_letter'])
    .default('fail')
    .describe('What to do with a record that is not valid: fail, skip and count it, or write it to dead_letter_path.'),
  dead_letter_path: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Where records that are not valid go, each with file, line and error. After a crash some may stand there twice. ' +
        'Default: `<name of the pipeline>.dead_letter.ndjson`.',
    ),
  max_record_bytes: z
    .number()
    .int()
    .min(1)
    .default(16 * MIB)
    .describe('Largest record, in bytes (16 MiB); a longer one is not valid.'),
  page_bytes: z.number().int().min(1).default(MIB).describe('Bytes that are read and passed on together.'),
  poll_interval: z
    .number()
    .min(0.01)
    .max(MOST_SECONDS)
    .default(1)
    .describe('With `sync_mode: stream`: seconds between two looks for more.'),
})

export type FileConfig = z.output<typeof config>

export default defineSource({
  summary: 'NDJSON, JSON, CSV and TSV files, plain or gzipped, or standard input; and Parquet files.',
  config,
  tuning: ['page_bytes', 'max_record_bytes', 'poll_interval', 'dead_letter_path'],
  streams(options) {
    if (options === undefined) return [{ name: '*', incremental: true, resumable: true }]
    return [{ name: '*', incremental: isAppendOnly(options), resumable: !options.path.includes(STDIN) }]
  },
  scratch: (options, folder) => ({ ...options, dead_letter_path: join(folder, 'dead-letters.ndjson') }),
  create(options, context) {
    const settings = {
      ...options,
      dead_letter_path: options.dead_letter_path ?? `${context.pipeline}.dead_letter.ndjson`,
    }
    return {
      read: (from, signal) => readFiles(settings, context, from, signal),
      check: () => checkFiles(settings),
      // Its own dead letters are left out where it looks for files.
      reads: (path) => path !== resolve(settings.dead_letter_path) && wouldRead(path, settings),
    }
  },
})
