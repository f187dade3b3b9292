import type { AddCommand } from '../command-host.ts'
import { addJobFinishCommand } from './job-finish.ts'
import { addJobShowCommand } from './job-show.ts'

export const addJobCommand: AddCommand = (parent, host) => {
  const job = parent
    .command('job')
    .summary('show or finish one job')
    .description('Shows or finishes one job.')
  addJobShowCommand(job, host)
  addJobFinishCommand(job, host)
}
