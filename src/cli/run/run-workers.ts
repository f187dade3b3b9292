import type { FinishRequest, Job, Worker } from '../../agent-protocol/job.ts'
import { CommandError, errorText } from '../command-error.ts'
import { finishWorkerToTheEnd } from '../finishing.ts'
import { finishingLine } from '../finishing-line.ts'
import { Interrupted } from '../interruption.ts'
import { type ForwardedSignal, isInterrupting } from '../io.ts'
import { openLiveLine } from '../live-line.ts'
import { watchingOutputs } from '../output-progress.ts'
import type { Session } from '../session.ts'
import { startGroupWitness } from './group-witness.ts'
import type { MountedWorker } from './run-order.ts'
import type { SignalRelay } from './signal-relay.ts'
import { startWorker, type WorkerEnd, type WorkerProcess } from './worker-process.ts'

export interface WorkerResult {
  readonly worker: number
  readonly end: WorkerEnd
  /** As the daemon has it when it is finished; otherwise why it is not. */
  readonly finished: Worker | CommandError | Interrupted
}

interface Run {
  readonly job: Job
  readonly workers: readonly MountedWorker[]
}

/** Runs all workers at once; each is finished as soon as its own end is reached. */
export async function runWorkers(
  session: Session,
  relay: SignalRelay,
  { job, workers }: Run,
): Promise<WorkerResult[]> {
  const { io } = session
  const running = new Set<WorkerProcess>()
  const stopWaiting = new AbortController()
  let stopped = false
  // A second one would make many programs give up at once.
  using witness = io.stdin.isTTY || io.stderr.isTTY ? startGroupWitness(io.clock) : undefined
  const passOn = async (signal: ForwardedSignal): Promise<void> => {
    if ((await witness?.wentToAll(signal)) === true) return
    for (const worker of running) worker.signal(signal)
  }
  relay.to((signal) => {
    if (isInterrupting(signal)) stopped = true
    if (running.size > 0) void passOn(signal)
    else if (isInterrupting(signal)) stopWaiting.abort(new Interrupted(signal))
  })
  using live = openLiveLine(io.stderr, io.clock)
  const line = finishingLine(live)
  // A line that is redrawn would be torn apart by what the containers print.
  const mayShow = (): boolean => !io.stderr.isTTY || running.size === 0
  return await Promise.all(
    workers.map(async (mounted): Promise<WorkerResult> => {
      const { worker } = mounted.mount
      const note = (why: string): void =>
        live.print(errorText(`worker ${worker}: ${why}`).trimEnd())
      const started = startWorker(workerCommand(session, mounted), io.clock, note)
      running.add(started)
      const end = await started.ended
      running.delete(started)
      if (end.problem !== undefined) note(end.problem)
      const finished = await watchingOutputs(
        session,
        job,
        [worker],
        (_, progress) => {
          if (mayShow()) line.progress(worker, progress)
        },
        () =>
          finish(session, job, worker, {
            request: finishRequest(end, stopped),
            signal: stopWaiting.signal,
            retryRefusals: true,
            onUnfinished: (text) => {
              if (mayShow()) line.note(worker, text)
            },
          }),
      )
      if (mayShow()) line.note(worker, undefined)
      return { worker, end, finished }
    }),
  )
}

function workerCommand(
  { io, json }: Session,
  { mount, line }: MountedWorker,
): Parameters<typeof startWorker>[0] {
  const pairs = mount.env.map((pair): [string, string] => {
    const at = pair.indexOf('=')
    return [pair.slice(0, at), pair.slice(at + 1)]
  })
  return {
    ...line,
    env: { ...io.env, ...Object.fromEntries(pairs) },
    // One reader of the terminal is enough; and with --json stdout is for the one document.
    stdio: [mount.worker === 1 ? 'inherit' : 'ignore', json ? 2 : 'inherit', 'inherit'],
  }
}

/** What never ran has no output worth a checkpoint. */
function finishRequest({ status, ran }: WorkerEnd, stopped: boolean): FinishRequest {
  return {
    outcome: status === 0 ? 'succeeded' : stopped ? 'stopped' : 'failed',
    exit_code: status,
    ...(ran ? {} : { discard_output: true }),
  }
}

async function finish(
  session: Session,
  job: Job,
  worker: number,
  finishing: Parameters<typeof finishWorkerToTheEnd>[3],
): Promise<Worker | CommandError | Interrupted> {
  try {
    return await finishWorkerToTheEnd(session, job.id, worker, finishing)
  } catch (error) {
    const reason: unknown = finishing.signal.reason
    if (reason instanceof Interrupted) return reason
    if (error instanceof CommandError) return error
    throw error
  }
}
