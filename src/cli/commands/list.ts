import { listCheckpoints } from '../api/checkpoint-calls.ts'
import type { AddCommand } from '../command-host.ts'
import { checkpointTable } from '../text/checkpoint-text.ts'

export const addListCommand: AddCommand = (parent, host) => {
  parent
    .command('list')
    .summary('list the checkpoints of the project')
    .description('Lists the checkpoints of the project: ID, STATUS, NAME, SIZE.')
    .action(async () => {
      await host.act(async ({ api, answer, tableColumns }) => {
        const checkpoints = await listCheckpoints(api)
        answer(checkpoints, () => checkpointTable(checkpoints, tableColumns))
        return undefined
      })
    })
}
