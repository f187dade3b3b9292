import type { Job, Worker } from '../../agent-protocol/job.ts'
import { MAX_JOB_WORKERS } from '../../model/limits.ts'
import { finishJob, finishWorker, getJob } from '../api/job-calls.ts'
import { fromErrorBody } from '../command-error.ts'
import { type AddCommand, nonEmpty, positiveInteger } from '../command-host.ts'
import { EXIT_CODES, exitOfSignal } from '../exit-codes.ts'
import { finishJobToTheEnd, finishWorkerToTheEnd, isNotSaved } from '../finishing.ts'
import { finishingLine } from '../finishing-line.ts'
import { untilInterrupted } from '../interruption.ts'
import { openLiveLine } from '../live-line.ts'
import { watchingOutputs } from '../output-progress.ts'
import { reportError } from '../report-error.ts'
import type { Session } from '../session.ts'
import { jobText } from '../text/job-text.ts'
import { printable } from '../text/printable.ts'

interface Options {
  readonly worker?: number
  readonly discardOutput?: boolean
  readonly wait: boolean
}

export const addJobFinishCommand: AddCommand = (parent, host) => {
  parent
    .command('finish')
    .summary('finish a job whose runner is gone')
    .description(
      'Finishes a job or one of its workers: releases the mounts and saves the output. This is the way out when the runner died. It waits until that is done; Ctrl-C stops the waiting only.',
    )
    .argument('<job>', 'its id or name', nonEmpty('the job'))
    .option('--worker <n>', 'this worker only', positiveInteger('--worker', MAX_JOB_WORKERS))
    .option('--discard-output', 'throw away what the workers wrote instead of saving it')
    .option('--no-wait', 'only begin the finishing, and show how far it is')
    .action(async (ref: string, options: Options) => {
      await host.act((session) => finish(session, ref, options))
    })
}

async function finish(session: Session, ref: string, options: Options): Promise<number> {
  // By its id from here on: a name would mean another job as soon as a newer one has it.
  const found = await getJob(session.api, ref)
  const { id } = found
  return untilInterrupted(
    session.io,
    async (signal) => {
      const workers = await finishWorkers(session, found, options, signal)
      const job = await getJob(session.api, id)
      const shown = options.worker === undefined ? job : workers[0]
      session.answer(shown, () => jobText({ ...job, workers }))
      return statusOf(session, job, workers)
    },
    (signal) => {
      const again = session.commandLine(`job show ${printable(id)}`)
      session.io.stderr.write(`ckpt: stopped waiting; the finishing goes on. See: ${again}\n`)
      return exitOfSignal(signal)
    },
  )
}

/** The workers it was asked for, finished unless nobody waits for that. */
async function finishWorkers(
  session: Session,
  job: Job,
  { worker, wait, discardOutput }: Options,
  signal: AbortSignal,
): Promise<Worker[]> {
  const { api, io } = session
  const request = discardOutput === true ? { discard_output: true } : {}
  if (!wait) {
    const call = { request, signal, waitSeconds: 0 }
    if (worker !== undefined) return [await finishWorker(api, job.id, worker, call)]
    return (await finishJob(api, job.id, call)).workers
  }
  using live = openLiveLine(io.stderr, io.clock)
  const line = finishingLine(live)
  const onUnfinished = (text: string): void => line.note(0, text)
  const finishing = { request, signal, retryRefusals: false, onUnfinished }
  const unfinished = job.workers.flatMap((one) => (one.state === 'finished' ? [] : [one.worker]))
  return await watchingOutputs(
    session,
    job,
    worker === undefined ? unfinished : [worker],
    (one, progress) => line.progress(one, progress),
    async () =>
      worker === undefined
        ? (await finishJobToTheEnd(session, job.id, finishing)).workers
        : [await finishWorkerToTheEnd(session, job.id, worker, finishing)],
  )
}

/** An output that could not be saved is a failure to be told. */
function statusOf(session: Session, { data }: Job, workers: readonly Worker[]): number {
  const failed = workers.find(isNotSaved)
  if (failed?.error === undefined) return EXIT_CODES.ok.status
  const saves = data.output_uri !== undefined
  const error = fromErrorBody(failed.error, saves ? { exit: 'output_not_saved' } : {})
  reportError(session, error, `worker ${failed.worker}`)
  return error.status
}
