import { displayWidth } from './display-width.ts'
import { printable } from './printable.ts'

export interface Column {
  readonly title: string
  readonly align?: 'right'
}

const GAP = '  '

/** Lines of aligned columns under their titles; every cell is made safe for a terminal here. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string {
  const cells = rows.map((row) => columns.map((_, at) => printable(row[at] ?? '')))
  const widths = columns.map(({ title }, at) =>
    cells.reduce((widest, row) => Math.max(widest, displayWidth(row[at] ?? '')), title.length),
  )
  const line = (row: readonly string[]): string =>
    columns
      .map(({ align }, at) => pad(row[at] ?? '', widths[at] ?? 0, align))
      .join(GAP)
      .trimEnd()
  return `${[columns.map(({ title }) => title), ...cells].map(line).join('\n')}\n`
}

/** `Label  value` lines; a field without a value is left out. */
export function renderFields(fields: readonly (readonly [string, string | undefined])[]): string {
  const shown = fields.filter(([, value]) => value !== undefined)
  const widest = shown.reduce((width, [label]) => Math.max(width, label.length), 0)
  return shown
    .map(([label, value]) => `${label.padEnd(widest)}${GAP}${printable(value ?? '')}\n`)
    .join('')
}

function pad(text: string, width: number, align: 'right' | undefined): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return align === 'right' ? space + text : text + space
}
