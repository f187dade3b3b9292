import type { Worker } from '../../agent-protocol/job.ts'
import { errorText } from '../command-error.ts'
import type { Session } from '../session.ts'
import { keptText } from '../text/job-text.ts'
import { printable } from '../text/printable.ts'

/** Says of which workers' outputs something was left out, and where it is until when. */
export function tellLeftOut(session: Session, workers: readonly Worker[]): void {
  for (const { output_kept: kept, output_uuid, worker } of workers) {
    if (kept === undefined || output_uuid === undefined) continue
    const log = session.commandLine(`attach ${printable(output_uuid)}`)
    session.io.stderr.write(
      errorText(`worker ${worker}: ${keptText(kept)}`, `See what was left out, and why: ${log}`),
    )
  }
}
