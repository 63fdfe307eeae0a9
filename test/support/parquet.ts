// Parquet files for tests of what reads them.

import { loadParquet, PartWriter } from '../../connectors/parquet.ts'

/** Rows of texts, so many in a row group. */
export async function parquetOf(rows: readonly { id: string; note: string }[], groupRows: number): Promise<Buffer> {
  const columns = (['id', 'note'] as const).map((name) => ({ name, type: { kind: 'string' } as const }))
  const writer = new PartWriter(await loadParquet('internal'), columns, 'test')
  const chunks: Buffer[] = []
  for (let from = 0; from < rows.length; from += groupRows) {
    const group = rows.slice(from, from + groupRows)
    chunks.push(Buffer.from(writer.group(columns.map(({ name }) => group.map((row) => row[name])))))
  }
  return Buffer.concat([...chunks, Buffer.from(writer.finish({}))])
}
