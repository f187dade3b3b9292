import { CkptdError } from '../../model/errors.ts'
import {
  FREE_EXPANSION_BYTES,
  MAX_CHECKPOINT_BYTES,
  MAX_EXPANSION_RATIO,
  MAX_TREE_ENTRIES,
} from '../../model/limits.ts'
import { quoteName } from '../../model/relative-path.ts'
import { formatBytes } from '../../model/size-text.ts'
import { archiveError } from './archive-error.ts'

/** Of an archive's own headers and padding, beside a checkpoint's bytes: 4 KiB for each entry. */
const MAX_OVERHEAD_BYTES = MAX_TREE_ENTRIES * 4096

/** Throws where a compressed archive may not expand to so many bytes. */
export function assertMayExpand(name: string, sizeBytes: number, expandedBytes: number): void {
  if (expandedBytes > MAX_CHECKPOINT_BYTES + MAX_OVERHEAD_BYTES)
    throw new CkptdError(
      'too_large',
      `the archive ${quoteName(name)} expands to ${formatBytes(expandedBytes)} or more and a checkpoint holds at most ${formatBytes(MAX_CHECKPOINT_BYTES)}`,
    )
  const allowedBytes = Math.max(FREE_EXPANSION_BYTES, sizeBytes * MAX_EXPANSION_RATIO)
  if (expandedBytes > allowedBytes)
    throw archiveError(
      name,
      `has ${formatBytes(sizeBytes)} and expands to ${formatBytes(expandedBytes)} or more; ${MAX_EXPANSION_RATIO} times its size is allowed`,
    )
}
