import type { MountPending } from '../../agent-protocol/job.ts'
import type { LiveText } from '../live-line.ts'
import { fitWidth } from '../text/display-width.ts'
import { printable } from '../text/printable.ts'
import { progressText } from '../text/progress-line.ts'

/** What a worker's mount waits for. */
export function pendingText({ waiting_for }: MountPending): LiveText {
  const [first, ...others] = waiting_for.map(
    ({ name, status, progress }) =>
      `${printable(name)}: ${progress === undefined ? printable(status) : progressText(progress)}`,
  )
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`
  const text = `waiting for ${first ?? 'the mount'}${more}`
  return {
    text,
    line: (columns) => fitWidth(text, columns),
    key: waiting_for
      .map(({ name, status, progress }) => `${name} ${status} ${progress?.phase ?? ''}`)
      .join('\n'),
  }
}
