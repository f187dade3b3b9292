import { listPublicCheckpoints } from '../api/checkpoint-calls.ts'
import type { AddCommand } from '../command-host.ts'
import { checkpointTable } from '../text/checkpoint-text.ts'

export const addListPublicCommand: AddCommand = (parent, host) => {
  parent
    .command('list-public')
    .summary('list the public checkpoints')
    .description('Lists the checkpoints that every project can use: ID, STATUS, NAME, SIZE.')
    .action(async () => {
      await host.act(async ({ api, answer, tableColumns }) => {
        const checkpoints = await listPublicCheckpoints(api)
        answer(checkpoints, () => checkpointTable(checkpoints, tableColumns))
        return undefined
      })
    })
}
