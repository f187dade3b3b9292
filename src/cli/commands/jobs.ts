import type { Job } from '../../agent-protocol/job.ts'
import { listJobs } from '../api/job-calls.ts'
import type { AddCommand } from '../command-host.ts'
import { jobTable } from '../text/job-text.ts'

/** How many of the finished ones are listed without --all. */
const LAST_FINISHED = 20

export const addJobsCommand: AddCommand = (parent, host) => {
  parent
    .command('jobs')
    .summary('list the jobs of the project')
    .description(
      `Lists the jobs of the project, the state of their workers and what they use: those that are not finished, and the last ${LAST_FINISHED} that are.`,
    )
    .option('--all', 'list all that are finished')
    .action(async ({ all = false }: { readonly all?: boolean }) => {
      await host.act(async ({ api, answer, tableColumns }) => {
        const jobs = await listJobs(api)
        const shown = all ? jobs : withoutOldOnes(jobs)
        const left = jobs.length - shown.length
        const more = left === 0 ? '' : `… and ${left} more that are finished (--all shows them)\n`
        answer(shown, () => jobTable(shown, tableColumns) + more)
        return undefined
      })
    })
}

/** The daemon lists the oldest first. */
function withoutOldOnes(jobs: readonly Job[]): Job[] {
  const finished = jobs.filter(({ status }) => status === 'finished')
  const kept = new Set(finished.slice(-LAST_FINISHED))
  return jobs.filter((job) => job.status !== 'finished' || kept.has(job))
}
