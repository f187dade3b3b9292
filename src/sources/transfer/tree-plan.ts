import type { PlannedFile } from '../../cache/ingest.ts'
import type { FoundEntry } from './tree-walk.ts'

/** What is recorded of a file of a directory beside its path and size. */
export interface TreePlan {
  /** What the listing said beside the name; compared when everything is fetched. */
  readonly stamp: string
  /** Its path in the address, where that is not what encoding its path gives. */
  readonly href?: string
  /** It turned out to be large though the listing did not say so. */
  readonly large?: true
}

export function planFile({ path, href, listed }: FoundEntry): PlannedFile {
  const plan: TreePlan = {
    stamp: listed.stamp,
    ...(href === encodePath(path) ? {} : { href }),
  }
  return { path, sizeBytes: listed.sizeBytes, plan }
}

export function hrefOf(file: PlannedFile): string {
  return (file.plan as TreePlan).href ?? encodePath(file.path)
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}
