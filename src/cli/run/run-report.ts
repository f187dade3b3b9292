import type { Job, Worker } from '../../agent-protocol/job.ts'
import { outputCheckpointName } from '../../model/checkpoint-name.ts'
import { finishJob } from '../api/job-calls.ts'
import { CommandError, errorText, fromErrorBody } from '../command-error.ts'
import { EXIT_CODES, exitOfSignal } from '../exit-codes.ts'
import { Interrupted } from '../interruption.ts'
import { reportError } from '../report-error.ts'
import type { Session } from '../session.ts'
import { jsonText, printable } from '../text/printable.ts'
import { tellLeftOut } from './left-out.ts'
import type { WorkerResult } from './run-workers.ts'

/** The `--json` document of `ckpt run`. */
interface RunReport {
  readonly job_uuid: string
  readonly name: string
  readonly exit_status: number
  readonly workers: readonly WorkerReport[]
}

interface WorkerReport {
  readonly worker: number
  readonly exit_code: number
  readonly state: string
  readonly output_uuid?: string
  readonly output_name?: string
  readonly error?: { readonly code: string; readonly message: string; readonly hint: string }
}

/** Says which checkpoints the outputs became and what went wrong; returns the exit status. */
export async function reportRun(
  session: Session,
  job: Job,
  results: readonly WorkerResult[],
): Promise<number> {
  const problems = results.map((result) => ({ ...result, problem: problemOf(job, result) }))
  const status = exitStatus(problems)
  const workers = problems.map(
    ({ worker, end, finished, problem }): WorkerReport => ({
      worker,
      exit_code: end.status,
      state: 'state' in finished ? finished.state : 'finishing',
      ...('state' in finished ? outputOf(job, finished) : {}),
      ...(problem instanceof CommandError ? { error: errorOf(problem) } : {}),
    }),
  )
  write(session, { job_uuid: job.id, name: job.name, exit_status: status, workers })
  for (const { worker, problem } of problems)
    if (problem instanceof CommandError) reportError(session, problem, `worker ${worker}`)
  tellLeftOut(
    session,
    results.flatMap(({ finished }) => ('state' in finished ? [finished] : [])),
  )
  if (results.every(({ finished }) => 'state' in finished && finished.state === 'finished'))
    await closeJob(session, job)
  else tellWhatGoesOn(session, job, problems)
  return status
}

type Problem = CommandError | Interrupted | undefined

function problemOf(job: Job, { finished }: WorkerResult): Problem {
  if (finished instanceof Error) return finished
  if (finished.error === undefined) return undefined
  const saves = job.data.output_uri !== undefined
  return fromErrorBody(finished.error, saves ? { exit: 'output_not_saved' } : {})
}

/** The first worker's that is not 0; then what went wrong around them. */
function exitStatus(results: readonly (WorkerResult & { readonly problem: Problem })[]): number {
  const failed = results.find(({ end }) => end.status !== 0)
  if (failed !== undefined) return failed.end.status
  const troubled = results.find(({ problem }) => problem !== undefined)?.problem
  if (troubled instanceof Interrupted) return exitOfSignal(troubled.signal)
  return troubled?.status ?? EXIT_CODES.ok.status
}

function outputOf(
  { name, worker_count }: Job,
  { worker, output_uuid }: Worker,
): Pick<WorkerReport, 'output_uuid' | 'output_name'> {
  if (output_uuid === undefined) return {}
  return { output_uuid, output_name: outputCheckpointName(name, worker, worker_count) }
}

function errorOf({ code, message, hint }: CommandError): NonNullable<WorkerReport['error']> {
  return { code, message, hint }
}

/** All its workers are finished: nothing is lost where this does not succeed. */
async function closeJob(session: Session, { id }: Job): Promise<void> {
  try {
    await finishJob(session.api, id, { request: {}, waitSeconds: 0 })
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    const again = session.commandLine(`job finish ${id}`)
    session.io.stderr.write(errorText(error.message, `Finish the job: ${again}`))
  }
}

function write({ io, json }: Session, report: RunReport): void {
  if (json) io.stdout.write(`${jsonText(report)}\n`)
  else
    for (const { output_uuid, output_name } of report.workers)
      if (output_uuid !== undefined)
        io.stdout.write(`${printable(output_name ?? '')}  ${printable(output_uuid)}\n`)
}

function tellWhatGoesOn(
  session: Session,
  { id }: Job,
  results: readonly { readonly problem: Problem }[],
): void {
  const interrupted = results.some(({ problem }) => problem instanceof Interrupted)
  const line = session.commandLine(`job ${interrupted ? 'show' : 'finish'} ${printable(id)}`)
  session.io.stderr.write(
    interrupted
      ? `ckpt: stopped waiting; the finishing goes on. See: ${line}\n`
      : `ckpt: what is not finished yet can be finished with: ${line}\n`,
  )
}
