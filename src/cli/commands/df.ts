import { getDiskUsage } from '../api/host-calls.ts'
import type { AddCommand } from '../command-host.ts'
import { diskUsageText } from '../text/disk-usage-text.ts'

export const addDfCommand: AddCommand = (parent, host) => {
  parent
    .command('df')
    .summary('show what fills the disk, and what each project is billed')
    .description(
      'Shows what fills the disk of the data directory, what sharing saves, what could be given back, and the sizes each project is billed for.',
    )
    .action(async () => {
      await host.act(async ({ api, answer }) => {
        const usage = await getDiskUsage(api)
        answer(usage, () => diskUsageText(usage))
        return undefined
      })
    })
}
