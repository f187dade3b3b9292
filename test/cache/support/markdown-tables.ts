export type MarkdownRow = Readonly<Record<string, string>>

/** The tables of a document, each row by the names of its columns. */
export function readMarkdownTables(text: string): MarkdownRow[][] {
  const tables: MarkdownRow[][] = []
  let header: string[] | undefined
  let rows: MarkdownRow[] = []
  for (const line of text.split('\n')) {
    const cells = line.startsWith('|')
      ? line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim())
      : undefined
    if (cells === undefined) {
      if (header !== undefined) tables.push(rows)
      header = undefined
      rows = []
    } else if (header === undefined) header = cells
    else if (!cells.every((cell) => /^-+$/.test(cell)))
      rows.push(Object.fromEntries(cells.map((cell, n) => [header?.[n] ?? '', cell])))
  }
  return tables
}
