import type { Worker } from '../agent-protocol/job.ts'
import { checkpointEvents } from './api/checkpoint-calls.ts'
import { CommandError, errorText } from './command-error.ts'
import type { Session } from './session.ts'
import { printable } from './text/printable.ts'

/** The line that the daemon writes into the log of an output that it could not save whole. */
const LEFT_OUT = /^\d+ entries were left out; /

/** Says of which workers' outputs something was left out: how much, and where it is until when. */
export async function tellLeftOut(session: Session, workers: readonly Worker[]): Promise<void> {
  for (const { worker, output_uuid } of workers) {
    const line = output_uuid === undefined ? undefined : await leftOutLine(session, output_uuid)
    if (output_uuid === undefined || line === undefined) continue
    const log = session.commandLine(`attach ${printable(output_uuid)}`)
    session.io.stderr.write(errorText(`worker ${worker}: ${line}`, `See which, and why: ${log}`))
  }
}

async function leftOutLine({ api }: Session, output: string): Promise<string | undefined> {
  try {
    for await (const event of checkpointEvents(api, output, new AbortController().signal)) {
      if (event.type === 'log' && LEFT_OUT.test(event.msg)) return event.msg
      if (event.type === 'progress') return undefined
    }
  } catch (error) {
    // It may have been removed since; the job's end is told all the same.
    if (!(error instanceof CommandError)) throw error
  }
  return undefined
}
