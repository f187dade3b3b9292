import type { Checkpoint } from '../../agent-protocol/checkpoint.ts'
import type { DaemonStatus } from '../../agent-protocol/host.ts'
import { progressText } from './progress-line.ts'
import { renderFields } from './table.ts'

/** The daemon, and those of the checkpoints that are being filled. */
export function statusText(status: DaemonStatus, checkpoints: readonly Checkpoint[]): string {
  const { available, reason } = status.mounts
  const filling = checkpoints.filter(
    ({ status }) => status === 'new' || status === 'downloading' || status === 'exporting',
  )
  return renderFields([
    ['Daemon', `ckptd ${status.version}, ${status.state}, process ${status.pid}`],
    ['Data directory', status.data_dir],
    ['Runtime directory', status.runtime_dir],
    ['Mounts', available ? 'available' : `not available: ${reason ?? 'no reason given'}`],
    ['Transfers', String(status.transfers)],
    ['Mounted workers', String(status.mounted_workers)],
    ...filling.map(({ name, status, progress }): [string, string] => [
      'Filling',
      `${name}: ${progress === undefined ? status : progressText(progress)}`,
    ]),
  ])
}
