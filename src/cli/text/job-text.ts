import type { Holder, Job, Worker } from '../../agent-protocol/job.ts'
import { printable } from './printable.ts'
import { type Column, renderFields, renderTable } from './table.ts'

const JOB_COLUMNS: readonly Column[] = [
  { title: 'ID' },
  { title: 'STATUS' },
  { title: 'NAME', shorten: true },
  { title: 'TYPE' },
  { title: 'WORKERS' },
  { title: 'CHECKPOINTS', shorten: true },
]

export function jobTable(jobs: readonly Job[], columns: number | undefined): string {
  return renderTable(
    JOB_COLUMNS,
    jobs.map((job) => [
      job.id,
      job.status,
      job.name,
      job.type,
      workerStates(job.workers),
      job.model.checkpoints.map(({ name }) => name).join(', '),
    ]),
    columns,
  )
}

export function jobText(job: Job): string {
  const { output_type, output_uri } = job.data
  const fields = renderFields([
    ['Name', job.name],
    ['ID', job.id],
    ['Project', job.project_uuid],
    ['Status', job.status],
    ['Type', job.type],
    ['Created', job.createdAt],
    ['Output', output_type && `${output_type} ${output_uri ?? ''}`.trimEnd()],
    ...job.model.checkpoints.map(({ name, checkpoint_uuid, directory }): [string, string] => [
      'Checkpoint',
      `${name} (${checkpoint_uuid})${directory === '' ? '' : ` in ${directory}/`}`,
    ]),
  ])
  const workers = renderTable(
    ['WORKER', 'STATE', 'OUTCOME', 'EXIT', 'OUTPUT'].map((title) => ({ title })),
    job.workers.map(({ worker, state, outcome, exit_code, output_uuid }) => [
      String(worker),
      state,
      outcome ?? '-',
      exit_code === undefined ? '-' : String(exit_code),
      output_uuid ?? '-',
    ]),
  )
  return `${fields}\n${workers}${job.workers.map(workerNotes).join('')}`
}

/** What a worker waits for, who keeps it from finishing, and what went wrong; none: "". */
export function workerNotes(worker: Worker): string {
  const name = `worker ${worker.worker}`
  const notes = [
    ...(worker.waiting_for === undefined
      ? []
      : [`${name} waits for ${printable(worker.waiting_for)}`]),
    ...(worker.held_by ?? []).map((holder) => `${name} is held by ${holderText(holder)}`),
    ...(worker.error === undefined
      ? []
      : [`${name}: ${printable(worker.error.message)}. ${printable(worker.error.hint)}`]),
    ...(worker.output_kept === undefined ? [] : [`${name}: ${keptText(worker.output_kept)}`]),
  ]
  return notes.map((note) => `${note}\n`).join('')
}

/** Where an output directory is of which something was left out. */
export function keptText({ path, until }: NonNullable<Worker['output_kept']>): string {
  return `not all of its output could be saved; the directory is kept at ${printable(path)} until ${printable(until)}`
}

function holderText({ pid, command, path }: Holder): string {
  return `${printable(command)} (process ${pid}): ${printable(path)}`
}

/** `1 mounted, 3 finished`, in the order in which the states first appear. */
function workerStates(workers: readonly Worker[]): string {
  const counts = new Map<string, number>()
  for (const { state } of workers) counts.set(state, (counts.get(state) ?? 0) + 1)
  return Array.from(counts, ([state, count]) => `${count} ${state}`).join(', ')
}
