import type { CheckpointDetails, TreeEntry } from '../../agent-protocol/checkpoint.ts'
import { formatBytes } from '../../model/size-text.ts'
import { countText } from './count-text.ts'
import { printable } from './printable.ts'

const SIZE_COLUMNS = 11

export function treeHeading({ count, size }: CheckpointDetails): string {
  return `Tree: ${countText(Number(count), 'entry', 'entries')}, ${printable(size)}`
}

/** Size and whole path; "/" ends a directory, "*" marks what is executable, "->" leads to a link's target. */
export function treeEntryLine(entry: TreeEntry): string {
  const size = entry.kind === 'file' ? formatBytes(entry.size ?? 0) : ''
  return `${size.padStart(SIZE_COLUMNS)}  ${printable(entry.path)}${markOf(entry)}`
}

function markOf({ kind, executable, target }: TreeEntry): string {
  if (kind === 'directory') return '/'
  if (kind === 'symlink') return ` -> ${printable(target ?? '?')}`
  return executable === true ? '*' : ''
}
