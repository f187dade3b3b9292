import type { VerifyReport } from '../../agent-protocol/checkpoint.ts'
import { formatBytes } from '../../model/size-text.ts'
import { countText } from './count-text.ts'
import { printable } from './printable.ts'

type Damage = VerifyReport['bad'][number]

export function verifyText({ checked_objects, checked_bytes, bad }: VerifyReport): string {
  const found = bad.length === 0 ? 'no damage' : `${bad.length} damaged`
  const summary = `checked ${countText(checked_objects, 'object')}, ${formatBytes(checked_bytes)}: ${found}\n`
  return bad.map(damageText).join('') + summary
}

function damageText({ sha256, executable, problem, checkpoints, mounted_by }: Damage): string {
  const variant = executable ? ' (executable)' : ''
  const lines = [
    `damaged: sha256:${printable(sha256)}${variant}: ${printable(problem)}`,
    ...checkpoints.flatMap(({ checkpoint_uuid, name, paths }) =>
      paths.map(
        (path) =>
          `  in checkpoint ${printable(name)} (${printable(checkpoint_uuid)}): ${printable(path)}`,
      ),
    ),
    ...mounted_by.map(
      ({ job_uuid, name, worker }) =>
        `  mounted by job ${printable(name)} (${printable(job_uuid)}), worker ${worker}`,
    ),
  ]
  return `${lines.join('\n')}\n`
}
