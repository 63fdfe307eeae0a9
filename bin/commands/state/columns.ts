/** Rows in columns as wide as they need be, but for the last; of a cell with several lines all stand in its column. */
export function columns(rows: readonly (readonly string[])[]): string {
  const [first = []] = rows
  const widths = first.slice(0, -1).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) => {
      const before = widths.map((width, column) => `${row[column] ?? ''}`.padEnd(width)).join('  ')
      const indent = `\n${' '.repeat(before.length + 2)}`
      return `${before}  ${(row.at(-1) ?? '').replaceAll('\n', indent)}`.trimEnd()
    })
    .join('\n')
}
