import { listJobs } from '../api/job-calls.ts'
import type { AddCommand } from '../command-host.ts'
import { jobTable } from '../text/job-text.ts'

export const addJobsCommand: AddCommand = (parent, host) => {
  parent
    .command('jobs')
    .summary('list the jobs of the project')
    .description('Lists the jobs of the project, the state of their workers and what they use.')
    .action(async () => {
      await host.act(async ({ api, answer }) => {
        const jobs = await listJobs(api)
        answer(jobs, () => jobTable(jobs))
        return undefined
      })
    })
}
