import type { Checkpoint, CheckpointEvent } from '../agent-protocol/checkpoint.ts'
import { formatBytes } from '../model/size-text.ts'
import { checkpointEvents } from './api/checkpoint-calls.ts'
import { persistentStream } from './api/patience.ts'
import { CommandError, errorText, fromErrorBody } from './command-error.ts'
import { EXIT_CODES, exitOfSignal } from './exit-codes.ts'
import { untilInterrupted } from './interruption.ts'
import { openLiveLine } from './live-line.ts'
import type { Session } from './session.ts'
import { isDamaged } from './text/checkpoint-text.ts'
import { countText } from './text/count-text.ts'
import { logLine } from './text/log-line.ts'
import { jsonText, printable } from './text/printable.ts'
import { progressLine, progressText } from './text/progress-line.ts'
import { shellWord } from './text/shell-word.ts'

/**
 * Shows a checkpoint's log and progress until it is ready; throws when it failed. Returns the
 * exit status: that of an interruption when the user stopped watching.
 */
export async function followCheckpoint(session: Session, ref: string): Promise<number> {
  return untilInterrupted(
    session.io,
    async (signal) => {
      await showEvents(session, ref, signal)
      return EXIT_CODES.ok.status
    },
    (signal) => {
      const again = session.commandLine(`attach ${shellWord(printable(ref))}`)
      session.io.stderr.write(`ckpt: stopped watching; the work goes on. Watch again: ${again}\n`)
      return exitOfSignal(signal)
    },
  )
}

async function showEvents(session: Session, ref: string, signal: AbortSignal): Promise<void> {
  const { io, json } = session
  using live = openLiveLine(io.stdout, io.clock)
  for await (const event of eventsOnce(session, ref, signal)) {
    await io.stdout.drained()
    if (json) io.stdout.write(`${jsonText(event)}\n`)
    switch (event.type) {
      case 'log':
        if (!json) live.print(logLine(event))
        break
      case 'progress':
        if (!json) {
          const { progress } = event
          live.update({
            line: (columns) => progressLine(progress, columns),
            text: progressText(progress),
            key: `${progress.phase} ${progress.waiting_for ?? ''}`,
          })
        }
        break
      case 'error':
        throw fromErrorBody(event.error, { exit: 'checkpoint_failed' })
      case 'result':
        live.clear()
        checkReady(event.checkpoint)
        if (!json) live.print(readyLine(event.checkpoint))
    }
  }
}

/** Across reconnections, without the log lines that were shown already. */
async function* eventsOnce(
  { api, io }: Session,
  ref: string,
  signal: AbortSignal,
): AsyncGenerator<CheckpointEvent, void, undefined> {
  let shown = 0
  const open = async function* (): AsyncGenerator<CheckpointEvent, void, undefined> {
    let seen = 0
    for await (const event of checkpointEvents(api, ref, signal)) {
      if (event.type === 'log' && ++seen <= shown) continue
      if (event.type === 'log') shown = seen
      yield event
    }
  }
  yield* persistentStream(open, ({ type }) => type === 'result' || type === 'error', {
    clock: io.clock,
    signal,
    onLost: ({ message }) => io.stderr.write(errorText(`${message}; trying again`)),
  })
}

function checkReady(checkpoint: Checkpoint): void {
  if (checkpoint.error !== undefined && checkpoint.status === 'failed')
    throw fromErrorBody(checkpoint.error, { exit: 'checkpoint_failed' })
  if (checkpoint.error !== undefined && isDamaged(checkpoint)) {
    const { error, name } = checkpoint
    throw fromErrorBody({ ...error, message: `"${name}" is damaged: ${error.message}` })
  }
  if (checkpoint.status === 'ready' || checkpoint.status === 'exporting') return
  throw new CommandError(
    'checkpoint_failed',
    `the checkpoint "${checkpoint.name}" is ${checkpoint.status}`,
  )
}

function readyLine({ name, id, size, file_count }: Checkpoint): string {
  return `${printable(name)} is ready: ${formatBytes(size)} in ${countText(file_count, 'file')}, ${printable(id)}`
}
