import type { CkptdError } from '../model/errors.ts'
import type { SourceLocation } from './location.ts'
import type { SourceType } from './path-rules.ts'
import { locateWeb } from './web-location.ts'

/** Takes a path that keeps its rule apart; `refuse` makes the error for what is wrong with it. */
export type Locate = (path: string, refuse: (why: string) => CkptdError) => SourceLocation

/** The sources this version can fill from. A new one is its file and its line here. */
export const LOCATORS: Readonly<Partial<Record<SourceType, Locate>>> = {
  web: locateWeb,
}
