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

function damageText(damage: Damage): string {
  const { checkpoints, mounted_by, other_checkpoints: others } = damage
  const lines = [
    `damaged: ${damagedName(damage)}: ${printable(damage.problem)}`,
    ...checkpoints.flatMap(({ checkpoint_uuid, name, paths }) => {
      const checkpoint = `  in checkpoint ${printable(name)} (${printable(checkpoint_uuid)})`
      if (paths.length === 0) return [checkpoint]
      return paths.map((path) => `${checkpoint}: ${printable(path)}`)
    }),
    ...(others === 0 ? [] : [`  and in ${countText(others, 'checkpoint')} of other projects`]),
    ...mounted_by.map(
      ({ job_uuid, name, worker }) =>
        `  mounted by job ${printable(name)} (${printable(job_uuid)}), worker ${worker}`,
    ),
  ]
  return `${lines.join('\n')}\n`
}

function damagedName({ kind, sha256, executable }: Damage): string {
  const digest = `sha256:${printable(sha256)}`
  if (kind === 'object') return `${digest}${executable ? ' (executable)' : ''}`
  return kind === 'manifest' ? `manifest ${digest}` : `view of manifest ${digest}`
}
