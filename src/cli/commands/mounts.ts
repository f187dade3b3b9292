import { listMounts } from '../api/host-calls.ts'
import type { AddCommand } from '../command-host.ts'
import { mountTable } from '../text/mount-text.ts'

export const addMountsCommand: AddCommand = (parent, host) => {
  parent
    .command('mounts')
    .summary('list what is mounted, for which worker of which job')
    .description('Lists what is mounted, for which worker of which job, since when and where.')
    .action(async () => {
      await host.act(async ({ api, answer, tableColumns }) => {
        const rows = await listMounts(api)
        answer(rows, () => mountTable(rows, tableColumns))
        return undefined
      })
    })
}
