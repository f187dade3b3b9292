import type { CheckpointRow } from '../database/checkpoints.ts'
import { CkptdError } from '../model/errors.ts'

/** Why a checkpoint without a manifest has nothing to show: not yet, or never. */
export function noContent({ name, status }: CheckpointRow): CkptdError {
  return status === 'failed'
    ? new CkptdError('checkpoint_failed', `the checkpoint "${name}" failed and holds nothing`)
    : new CkptdError('not_ready', `the checkpoint "${name}" is ${status} and holds nothing yet`)
}
