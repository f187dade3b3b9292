import { getJob } from '../api/job-calls.ts'
import { type AddCommand, nonEmpty } from '../command-host.ts'
import { jobText } from '../text/job-text.ts'

export const addJobShowCommand: AddCommand = (parent, host) => {
  parent
    .command('show')
    .summary('show a job and its workers')
    .description(
      'Shows a job: what it uses, the state of each worker, who holds a mount that should be gone, and which checkpoint its output became.',
    )
    .argument('<job>', 'its id or name', nonEmpty('the job'))
    .action(async (ref: string) => {
      await host.act(async ({ api, answer }) => {
        const job = await getJob(api, ref)
        answer(job, () => jobText(job))
        return undefined
      })
    })
}
