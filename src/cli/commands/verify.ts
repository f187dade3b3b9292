import type { VerifyReport } from '../../agent-protocol/checkpoint.ts'
import { verifyEvents } from '../api/checkpoint-calls.ts'
import { CommandError, fromErrorBody } from '../command-error.ts'
import { type AddCommand, nonEmpty } from '../command-host.ts'
import { exitOfSignal } from '../exit-codes.ts'
import { untilInterrupted } from '../interruption.ts'
import { openLiveLine } from '../live-line.ts'
import type { Session } from '../session.ts'
import { countText } from '../text/count-text.ts'
import { jsonText } from '../text/printable.ts'
import { progressLine, progressText } from '../text/progress-line.ts'
import { verifyText } from '../text/verify-text.ts'

export const addVerifyCommand: AddCommand = (parent, host) => {
  parent
    .command('verify')
    .summary('read everything again and compare it with its digests')
    .description(
      'Reads a checkpoint, or the whole store, and compares every byte with its digest, and what is mounted with its list of files. What is damaged is set aside and named, with the checkpoints and jobs that have it (exit status 7).',
    )
    .argument('[checkpoint]', 'its id or name; without it, everything', nonEmpty('the checkpoint'))
    .action(async (ref: string | undefined) => {
      await host.act((session) =>
        untilInterrupted<number | undefined>(
          session.io,
          async (signal) => {
            await verify(session, ref, signal)
            return undefined
          },
          (signal) => {
            session.io.stderr.write('ckpt: stopped watching; nothing more is shown\n')
            return exitOfSignal(signal)
          },
        ),
      )
    })
}

async function verify(
  session: Session,
  ref: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { io, json } = session
  using live = openLiveLine(io.stdout, io.clock)
  for await (const event of verifyEvents(session.api, ref, signal)) {
    if (json) io.stdout.write(`${jsonText(event)}\n`)
    if (event.type === 'error') throw fromErrorBody(event.error)
    if (event.type === 'result') {
      live.clear()
      if (!json) io.stdout.write(verifyText(event.report))
      checkUndamaged(event.report)
      return
    }
    if (json) continue
    const { progress } = event
    live.update({
      line: (columns) => progressLine(progress, columns),
      text: progressText(progress),
      key: progress.phase,
    })
  }
  throw new CommandError('unreachable', 'the daemon stopped before the verification was done', {
    hint: 'Run it again when the daemon is back.',
  })
}

function checkUndamaged({ bad }: VerifyReport): void {
  if (bad.length === 0) return
  const lost = bad.filter(({ kind }) => kind !== 'view').length
  throw new CommandError('damage_found', `damage was found in ${countText(bad.length, 'place')}`, {
    hint:
      lost === 0
        ? 'The next mounts get a directory built anew; run the jobs named above again.'
        : 'Create the checkpoints named above anew, then remove the damaged ones.',
  })
}
