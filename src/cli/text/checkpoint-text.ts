import type { Checkpoint } from '../../agent-protocol/checkpoint.ts'
import { formatBytes } from '../../model/size-text.ts'
import { countText } from './count-text.ts'
import { printable } from './printable.ts'
import { progressText } from './progress-line.ts'
import { renderFields, renderTable } from './table.ts'

/** The columns of the trainML client. */
export function checkpointTable(
  checkpoints: readonly Checkpoint[],
  columns: number | undefined,
): string {
  return renderTable(
    [
      { title: 'ID' },
      { title: 'STATUS' },
      { title: 'NAME', shorten: true },
      { title: 'SIZE', align: 'right' },
    ],
    checkpoints.map((one) => [one.id, statusText(one), one.name, formatBytes(one.size)]),
    columns,
  )
}

/** A ready one of which bytes were found damaged cannot be used: that is what matters. */
function statusText(checkpoint: Checkpoint): string {
  return isDamaged(checkpoint) ? 'damaged' : checkpoint.status
}

export function isDamaged({ status, error }: Checkpoint): boolean {
  return status === 'ready' && error?.code === 'corrupt'
}

/** Everything about one checkpoint but its tree. */
export function checkpointText(checkpoint: Checkpoint): string {
  const { size, billed_size, file_count, progress, error } = checkpoint
  const options = Object.entries(checkpoint.source_options)
  const sizeText = `${formatBytes(size)} in ${countText(file_count, 'file')} (billed ${formatBytes(billed_size)})`
  return renderFields([
    ['Name', checkpoint.name],
    ['ID', checkpoint.id],
    ['Project', checkpoint.project_uuid],
    ['Status', statusText(checkpoint)],
    ['Size', checkpoint.status === 'ready' ? sizeText : undefined],
    ['Source', `${checkpoint.source_type} ${checkpoint.source_uri}`],
    ...options.map(([key, value]): [string, string] => ['Option', `${key}=${value}`]),
    ['Pinned', checkpoint.pinned_source],
    ['Created', checkpoint.createdAt],
    ['Ready', checkpoint.readyAt],
    ['Content', checkpoint.manifest_sha256 && `sha256:${checkpoint.manifest_sha256}`],
    ['Progress', progress && progressText(progress)],
    ['Error', error?.message],
    ['Hint', error?.hint],
    ...checkpoint.used_by.map((user): [string, string] => ['Used by', userLine(user)]),
  ])
}

type User = Checkpoint['used_by'][number]

/** A job that uses a checkpoint: `job tune (1b9d…), mounted by 2 workers`. */
export function userLine({ job_uuid, name, mounted_workers }: User): string {
  const mounted =
    mounted_workers === 0 ? 'not mounted' : `mounted by ${countText(mounted_workers, 'worker')}`
  return `job ${printable(name)} (${printable(job_uuid)}), ${mounted}`
}
