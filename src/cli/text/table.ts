import { displayWidth, fitMiddle } from './display-width.ts'
import { printable } from './printable.ts'

export interface Column {
  readonly title: string
  readonly align?: 'right'
  /** Its cells are cut in the middle where the table is wider than the terminal. */
  readonly shorten?: true
}

const GAP = '  '

/** No cell is cut shorter than this. */
const LEAST_WIDTH = 16

/**
 * Lines of aligned columns under their titles; every cell is made safe for a terminal here.
 * `room` is the width of the terminal, undefined where nothing is to be cut.
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  room?: number,
): string {
  const whole = rows.map((row) => columns.map((_, at) => printable(row[at] ?? '')))
  const needed = columns.map(({ title }, at) =>
    whole.reduce((widest, row) => Math.max(widest, displayWidth(row[at] ?? '')), title.length),
  )
  const widths = room === undefined ? needed : fittedWidths(columns, needed, room)
  const cells = whole.map((row) => row.map((cell, at) => fitMiddle(cell, widths[at] ?? 0)))
  const line = (row: readonly string[]): string =>
    columns
      .map(({ align }, at) => pad(row[at] ?? '', widths[at] ?? 0, align))
      .join(GAP)
      .trimEnd()
  return `${[columns.map(({ title }) => title), ...cells].map(line).join('\n')}\n`
}

/** What is too much is taken from the widest of the columns that may be cut. */
function fittedWidths(
  columns: readonly Column[],
  needed: readonly number[],
  room: number,
): readonly number[] {
  const widths = [...needed]
  const total = needed.reduce((sum, width) => sum + width, GAP.length * (columns.length - 1))
  for (let over = total - room; over > 0; over--) {
    const cut = columns.reduce<number | undefined>((widest, { shorten }, at) => {
      const width = widths[at] ?? 0
      if (shorten !== true || width <= LEAST_WIDTH) return widest
      return widest === undefined || width > (widths[widest] ?? 0) ? at : widest
    }, undefined)
    if (cut === undefined) break
    widths[cut] = (widths[cut] ?? 0) - 1
  }
  return widths
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
