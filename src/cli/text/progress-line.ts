import type { Progress } from '../../agent-protocol/checkpoint.ts'
import { formatBytes, formatDuration } from '../../model/size-text.ts'
import { countText } from './count-text.ts'
import { displayWidth, fitWidth } from './display-width.ts'
import { printable } from './printable.ts'

/** The bar takes what the numbers leave; below the least it is left out. */
const BAR_CELLS = { least: 5, most: 24 }

/** One line of progress: phase, share, bar, bytes, files, rate, time left, what it waits for. */
export function progressLine(progress: Progress, columns: number): string {
  const [share, ...rest] = progressParts(progress)
  const withoutBar = [share, ...rest].join('  ')
  const bar = progressBar(progress, columns - displayWidth(withoutBar) - '  []'.length)
  if (bar === undefined) return fitWidth(withoutBar, columns)
  return [share, bar, ...rest].join('  ')
}

/** The same without a bar, for a log that nobody redraws. */
export function progressText(progress: Progress): string {
  return progressParts(progress).join('  ')
}

function progressParts(progress: Progress): string[] {
  const { bytes_done, bytes_total, files_done, files_total } = progress
  const share = shareDone(progress)
  const percent = share === undefined ? '' : ` ${(Math.floor(share * 1000) / 10).toFixed(1)}%`
  const parts = [
    printable(progress.phase) + percent,
    bytes_total === undefined
      ? formatBytes(bytes_done)
      : `${formatBytes(bytes_done)}/${formatBytes(bytes_total)}`,
    files_total === undefined
      ? countText(files_done, 'file')
      : `${files_done}/${files_total} files`,
  ]
  if (progress.waiting_for !== undefined)
    return [...parts, `waits for ${printable(progress.waiting_for)}`]
  parts.push(`${formatBytes(progress.bytes_per_second)}/s`)
  if (progress.seconds_left !== undefined)
    parts.push(`${formatDuration(progress.seconds_left)} left`)
  return parts
}

function progressBar(progress: Progress, room: number): string | undefined {
  const share = shareDone(progress)
  if (share === undefined || room < BAR_CELLS.least) return undefined
  const cells = Math.min(room, BAR_CELLS.most)
  const done = Math.floor(share * cells)
  return `[${'#'.repeat(done)}${'-'.repeat(cells - done)}]`
}

/** From 0 to 1; undefined while the total is not known. */
function shareDone({ bytes_done, bytes_total }: Progress): number | undefined {
  if (bytes_total === undefined || bytes_total <= 0) return undefined
  return Math.min(1, Math.max(0, bytes_done / bytes_total))
}
